"""Backends generate videos: a request goes in, typed events come out, or AttemptFailed."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.event import JobError
from services.orchestrator.domain.spec import Spec


class AttemptFailed(Exception):
    """This job cannot be made, and an immediate retry would not help."""

    def __init__(self, error: JobError, *, spent_micros: int = 0) -> None:
        """`spent_micros`: what was paid for a prompt that was not delivered."""
        self.error = error
        self.spent_micros = spent_micros
        super().__init__(f"{error.reason}: {error.message}")


@dataclass(frozen=True, slots=True)
class Input:
    """One input file for a remote model."""

    role: str
    """`image`, `audio` or `mask`."""
    media_type: str
    size_bytes: int
    sha256: str
    path: Path
    """In the attempt's workdir."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One attempt at a job: everything that a backend gets."""

    job_id: str
    number: int
    """Of the attempt, from 1."""
    spec: Spec
    """With every default filled in."""
    card: ModelCard
    picture: bytes | None
    """The file of the picture, as the sandbox wrote it, for image-to-video."""
    workdir: Path
    """An empty folder of this attempt alone; it is removed afterwards."""
    checkpoints: tuple[bytes, ...] = ()
    """The Checkpoints of earlier attempts, from index 0 on. They may be damaged or outdated: check them before use."""
    prompt: str = ""
    """The spec's, or the one that was written from its scene."""
    negative_prompt: str | None = None
    """Likewise; None if the model takes none or none was given."""
    inputs: tuple[Input, ...] = ()
    """For a remote model; empty if `external_ref` is set, because the vendor has the inputs."""
    submission_id: str = ""
    """Id of the one submission that this attempt may make."""
    external_ref: str = ""
    """The vendor's name of a task that is paid for: attach to it and submit nothing. Empty: there is none."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the work began."""

    name: str
    progress: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a later attempt needs to skip this part of the work, in the backend's own format."""

    index: int
    """0, 1, 2, … in order; the first of an attempt may follow those of its request."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Continues:
    """The attempt starts from its checkpoints: blocks before this one are not generated again."""

    block: int
    progress: float


@dataclass(frozen=True, slots=True)
class Fragment:
    """A playable piece of the video. Those of checkpointed blocks are yielded too, from the first on."""

    data: bytes
    frames: int
    progress: float


@dataclass(frozen=True, slots=True)
class TaskSubmitting:
    """A paid task is submitted when the next event is asked for. Record this first."""

    model: str
    """The provider's name of the model."""


@dataclass(frozen=True, slots=True)
class TaskAccepted:
    """The vendor has accepted the task. Record this before the next event is asked for."""

    external_ref: str


@dataclass(frozen=True, slots=True)
class Output:
    """The whole video, a file in the attempt's workdir. The last event of a successful attempt."""

    path: Path
    promised: Mapping[str, str] = field(default_factory=dict)
    """What a vendor states about it, by the vendor's own keys."""
    sha256: str = ""
    """Of its bytes, if the backend has seen all of them; otherwise empty."""
    made_with: Mapping[str, str] = field(default_factory=dict)
    """Of an engine of our own: `profile`, and `profile_sha256`, the digest of its weights and code."""
    marked: bool = False
    """Whether all its frames carry the pixel mark."""


BackendEvent = Stage | Continues | Checkpoint | Fragment | TaskSubmitting | TaskAccepted | Output


class Backend(Protocol):
    """Generates videos. Closing or cancelling the iterator stops the work, on this machine or another."""

    def generate(self, request: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        """Yields events while the video is generated; an Output comes last.

        Raises:
            services.errors.Unavailable: it cannot be reached or is overloaded; another attempt may succeed.
            AttemptFailed: this job cannot be made.
        """

    async def check(self) -> None:
        """Checks whether it could take a job now.

        Raises:
            services.errors.Unavailable: not now.
            AttemptFailed: not before an operator repairs it; it does not match the cards.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a backend's queue."""

    per_worker: int
    """Jobs at a time in each worker."""
    total: int | None = None
    """Jobs at a time in all workers; None: no limit."""
    per_minute: int | None = None
    """Jobs started in any minute by all workers; None: no limit."""
