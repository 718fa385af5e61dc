"""What makes videos: an attempt goes in, a few typed events come out, or AttemptFailed."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.event import JobError
from services.orchestrator.domain.spec import Spec


class AttemptFailed(Exception):
    """The backend says that this job cannot be made, and trying again at once would not help."""

    def __init__(self, error: JobError, *, spent_micros: int = 0) -> None:
        """`spent_micros`: what was paid for a prompt that did not come."""
        self.error = error
        self.spent_micros = spent_micros
        super().__init__(f"{error.reason}: {error.message}")


@dataclass(frozen=True, slots=True)
class Input:
    """One file that a remote model is given."""

    role: str
    """`image`, `audio` or `mask`."""
    media_type: str
    size_bytes: int
    sha256: str
    path: Path
    """In the attempt's workdir."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One try at a job: all that a backend gets to see of it."""

    job_id: str
    number: int
    spec: Spec
    """Completed."""
    card: ModelCard
    picture: bytes | None
    """The clean picture's file, for image-to-video."""
    workdir: Path
    """An empty folder of this attempt's own; it is removed afterwards."""
    checkpoints: tuple[bytes, ...] = ()
    """What earlier attempts yielded as Checkpoint, from index 0 on. May be damaged, or of another time: look first."""
    prompt: str = ""
    """What shall happen: the spec's, or the one that was written from its scene."""
    negative_prompt: str | None = None
    """What shall not be seen, likewise; None where the model takes none or none was given."""
    inputs: tuple[Input, ...] = ()
    """For a remote model, which must not be given what `external_ref` stands for again: empty then."""
    submission_id: str = ""
    """Name of the one submission that this attempt may make."""
    external_ref: str = ""
    """Not empty: the work is paid for already. Attach to it, and submit nothing."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A new stage of the work began."""

    name: str
    progress: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a later attempt needs in order not to do this part of the work again; the backend's own format."""

    index: int
    """0, 1, 2, … in order; the first that an attempt yields may follow those that it was given."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Continues:
    """The attempt begins with its checkpoints: blocks before this one are not made again."""

    block: int
    progress: float


@dataclass(frozen=True, slots=True)
class Fragment:
    """A playable piece of the video. Those that the checkpoints stand for are yielded too, from the first on."""

    data: bytes
    frames: int
    progress: float


@dataclass(frozen=True, slots=True)
class Handover:
    """A task of paid work is handed over as soon as the iterator is asked for more: not before that is journalled."""

    model: str
    """By the name that the provider knows."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The vendor has the task. Nothing else of it comes before this is journalled."""

    external_ref: str


@dataclass(frozen=True, slots=True)
class Output:
    """The whole video, a file in the attempt's workdir. The last event of a successful attempt."""

    path: Path
    promised: Mapping[str, str] = field(default_factory=dict)
    """What a vendor says of it, by its own keys."""
    sha256: str = ""
    """Of its bytes, where the backend saw each of them; empty where it did not."""


BackendEvent = Stage | Continues | Checkpoint | Fragment | Handover | Receipt | Output


class Backend(Protocol):
    """Makes videos. Closing or cancelling the iterator stops the work, wherever it runs."""

    def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        """Yields what happens while the video is made; an Output comes last.

        Raises:
            services.errors.Unavailable: it cannot be reached or is overloaded; another attempt may succeed.
            AttemptFailed: this job cannot be made.
        """

    async def check(self) -> None:
        """Looks whether it could take a job now.

        Raises:
            services.errors.Unavailable: not now.
            AttemptFailed: not before somebody mends it; it is not what the cards say.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """How many jobs of one backend may run: what its queue holds to."""

    of_a_worker: int
    """At a time, in each worker."""
    together: int | None = None
    """At a time, over all workers; None: no limit."""
    a_minute: int | None = None
    """Begun in any minute, over all workers; None: no limit."""
