"""The things that can happen to a job. A job's events, 1..n, are the truth; everything else is made from them."""

from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.forbidden_characters import kept
from services.orchestrator.domain.spec import Size

WORD_MOST, MESSAGE_MOST, PROMPT_MOST = 128, 2000, 8000
"""Characters of a text in an event that comes from an engine, a vendor or a language model. Longer texts are truncated,
so that a job and each of its events fit into a message."""


def _keep(event: object, **most: int) -> None:
    for name, characters in most.items():
        object.__setattr__(event, name, kept(getattr(event, name), characters))


@dataclass(frozen=True, slots=True)
class VideoOutput:
    """The video that a job made; every figure is probed from the file."""

    asset: str
    """SHA-256 of the MP4."""
    size: Size
    frames: int
    fps: float
    duration_ms: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job, or an attempt, could not continue."""

    reason: str
    message: str
    retryable: bool
    resumable: bool = False
    """Whether the work was paid for and may still bring the video: a resume costs nothing again."""

    def __post_init__(self) -> None:
        _keep(self, reason=WORD_MOST, message=MESSAGE_MOST)


@dataclass(frozen=True, slots=True)
class Admitted:
    """The job passed every check and its price is set aside. Always event 1."""

    quote_micros: int


@dataclass(frozen=True, slots=True)
class Started:
    """An attempt began. From here on only this attempt may write."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Continued:
    """The attempt continues from checkpoints: blocks before this one are not made again."""

    block: int
    progress: float


@dataclass(frozen=True, slots=True)
class Progressed:
    """Work progressed."""

    stage: str
    progress: float

    def __post_init__(self) -> None:
        _keep(self, stage=WORD_MOST)


@dataclass(frozen=True, slots=True)
class FragmentReady:
    """A playable piece of the video is stored. It replaces an earlier one of its index, and all after that."""

    index: int
    asset: str
    frames: int
    size_bytes: int
    progress: float


@dataclass(frozen=True, slots=True)
class PromptWritten:
    """The prompt was written from the scene: once, for all attempts."""

    prompt: str
    negative_prompt: str
    source: str
    """`json`, `text` or `template`."""
    llm: str
    cost_micros: int
    """What it really cost."""
    warning: str = ""

    def __post_init__(self) -> None:
        _keep(
            self, prompt=PROMPT_MOST, negative_prompt=PROMPT_MOST, source=WORD_MOST, llm=WORD_MOST, warning=MESSAGE_MOST
        )


@dataclass(frozen=True, slots=True)
class Submitting:
    """A paid task is about to be submitted to a provider. Until the answer, its cost is unknown."""

    provider: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The vendor has the task, so it is paid for. From now on attempts attach to it."""

    provider: str


@dataclass(frozen=True, slots=True)
class Released:
    """It is certain that the task costs nothing; another may be handed over."""

    provider: str
    reason: str

    def __post_init__(self) -> None:
        _keep(self, reason=WORD_MOST)


@dataclass(frozen=True, slots=True)
class Reconciling:
    """The answer to a submission was lost: the reservation stays until the outcome is known."""

    error: JobError


@dataclass(frozen=True, slots=True)
class Resumed:
    """The job waits again, for an attempt that attaches to the paid task, or that stops it."""

    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Rerouted:
    """Another model of the capability takes over; the one before has certainly taken no money."""

    model: str
    backend: str
    price_micros: int
    before: str
    """The model that was tried before."""
    error: JobError
    """Why it does not make the video."""


@dataclass(frozen=True, slots=True)
class Warned:
    """The video is there, but differs from what was requested or promised."""

    reason: str
    message: str

    def __post_init__(self) -> None:
        _keep(self, reason=WORD_MOST, message=MESSAGE_MOST)


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """A stop of the job was requested."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """The attempt could not continue; another begins at `retry_time`, at the earliest."""

    error: JobError
    retry_time: datetime
    requeued: bool = False
    """Its slot is released: it waits by a new queue entry, at the end of the queue."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The end: the video is there."""

    output: VideoOutput
    charged_micros: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The end: it could not be made."""

    error: JobError
    charged_micros: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The end: it was stopped on request."""

    charged_micros: int


Terminal = Succeeded | Failed | Cancelled
Paid = Submitting | Accepted | Released
"""What the journal of paid calls records in the same transaction."""
Body = (
    Admitted
    | Started
    | Continued
    | Progressed
    | FragmentReady
    | PromptWritten
    | Warned
    | Rerouted
    | Paid
    | Reconciling
    | Resumed
    | CancelRequested
    | Retrying
    | Terminal
)


@dataclass(frozen=True, slots=True)
class Unrecognized:
    """What a process of a newer release has recorded, and this one has no word for. It is read, and never written."""

    kind: str


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, with its place in the job's history."""

    sequence: int
    time: datetime
    body: Body | Unrecognized
