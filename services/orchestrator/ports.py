"""The sockets of the core: what it needs of the world, each a few methods. Adapters are chosen in app.py alone."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.event import Body, Event, FragmentReady, JobError, PromptWritten
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.ledger import Entry
from services.orchestrator.domain.media import AudioInfo, VideoInfo
from services.orchestrator.domain.paid_call import Charge, Finding, PaidCall
from services.orchestrator.domain.quota import Plan, Usage
from services.orchestrator.domain.spec import Scene, Spec


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """The moment, in UTC."""


class Ids(Protocol):
    """Everything that must be new or random."""

    def job_id(self) -> str:
        """A new job id: sortable by time of making, URL-safe."""

    def seed(self) -> int:
        """A random seed, 0 to 2^63 - 1."""


# --- jobs and money -------------------------------------------------------------------------------------------------

Decide = Callable[[Job], Body | None]
"""Looks at a job under its row's lock and says what happens to it next; None leaves it as it is."""


class Signal(Protocol):
    """Wakes whoever waits for something to happen to one job."""

    async def wait(self, timeout_s: float) -> bool:
        """Returns True once something may have happened since the last call, False after `timeout_s` of quiet."""


class Store(Protocol):
    """Jobs, their events, accounts, the ledger and what is known of assets, in one database.

    Every method raises services.errors.Unavailable when the database cannot be reached.
    """

    async def tenant_of_key(self, key_sha256: str) -> tuple[str, str] | None:
        """Returns (tenant id, plan name) of an API key by its digest, None when nobody has it."""

    async def admit(self, job: Job, fingerprint: str, plan: Plan, backend: str) -> Job:
        """Books, stores and queues a job in one transaction, or leaves no trace.

        Idempotent per (tenant, user, request_id): a repeat with the same fingerprint returns the first job. A job that
        resumes another is that one's only one under way: a second returns the first.

        Raises:
            QuotaExceeded: a rule of the plan refused.
            RequestIdReused: the request_id came before with another fingerprint.
        """

    async def repeat(self, tenant: str, user: str, request_id: str, fingerprint: str) -> Job | None:
        """Returns the job that a request_id made, if it did. Raises RequestIdReused when the fingerprint differs."""

    async def record(self, job_id: str, decide: Decide, *, assets: Sequence[Asset] = (), note: str = "") -> Job:
        """Adds the event that `decide` chooses, with the assets that it names, and returns the job after it.

        In the same transaction a terminal event settles the job's reservation, an event of a paid call is journalled,
        and a resumed job is queued again. `note` is, of Submitting, the model by the name that the provider knows; of
        Accepted, the vendor's reference.

        Raises: NotFound; PreconditionFailed when another job has the reference of Accepted; whatever `decide` raises.
        """

    async def paid_call(self, job: Job) -> PaidCall | None:
        """Returns the call of a job, or of the job that it resumes, that costs or may cost money; None without one."""

    async def reconciling(self, limit: int = 500) -> list[Job]:
        """Returns the jobs whose paid call has an unknown outcome, the oldest first."""

    async def job(self, job_id: str, *, tenant: str | None = None, user: str | None = None) -> Job:
        """Returns a job; with tenant and user, only if it is theirs. Raises NotFound."""

    async def jobs(self, tenant: str, user: str, *, state: State | None, before: str | None, limit: int) -> list[Job]:
        """Returns a user's jobs with ids below `before`, the newest first."""

    async def events(self, job_id: str, *, after: int, limit: int = 200) -> list[Event]:
        """Returns a job's events after a sequence number, in order."""

    async def fragments(self, job_id: str) -> list[FragmentReady]:
        """Returns what was told of a job's fragments, by all its attempts, in order."""

    def changes(self, job_id: str) -> AbstractAsyncContextManager[Signal]:
        """Wakes on every event of a job."""

    def stops(self, job_id: str) -> AbstractAsyncContextManager[Signal]:
        """Wakes when a job is asked to stop, or is taken over by another attempt."""

    async def overdue(self, now: datetime, *, grace_s: float) -> list[str]:
        """Returns the ids of jobs whose expire_time has passed; of begun ones, `grace_s` ago."""

    async def queued(self, backend: str) -> int:
        """Returns how many jobs wait for a backend."""

    async def place(self, job_id: str) -> int:
        """Returns how many jobs wait for a job's backend since before it or as it does; 0 when it does not wait."""

    async def usage(self, tenant: str, user: str, plan: Plan) -> tuple[Usage, list[Entry]]:
        """Returns the accounts of the current period and the user's newest ledger entries."""

    async def put_asset(self, asset: Asset) -> Asset:
        """Notes an asset; the one noted first is kept and returned."""

    async def asset(self, sha256: str, *, tenant: str, user: str) -> Asset:
        """Returns what is known of an asset if it is this user's. Raises NotFound."""

    async def check(self) -> None:
        """Raises Unavailable when the database cannot be used."""


class Meter(Protocol):
    """What is counted of jobs as they go, and of what makes them."""

    def queued(self, backend: str, jobs: int) -> None:
        """So many jobs wait for a backend now."""

    def backend_ready(self, backend: str, ready: bool) -> None:
        """A backend could take a job now, or could not."""

    def admitted(self, job: Job) -> None:
        """A job was admitted."""

    def started(self, job: Job, waited_s: float) -> None:
        """A job's first attempt began after waiting so long."""

    def first_fragment(self, job: Job, after_s: float) -> None:
        """A job's first piece was stored so long after its admission."""

    def continued(self, job: Job) -> None:
        """An attempt goes on from what an earlier one made."""

    def checkpoint_failed(self, job: Job) -> None:
        """A checkpoint could not be stored now."""

    def ended(self, job: Job) -> None:
        """A job ended."""

    def paid_call(self, provider: str, step: str) -> None:
        """A paid call went a step: `submitting`, `accepted`, `released`, `charged` or `lost`."""

    def warned(self, job: Job, reason: str) -> None:
        """A vendor's video is not quite what was asked for or promised."""

    def reconciling(self, jobs: int) -> None:
        """So many jobs have a paid call whose outcome nobody knows."""


# --- making videos --------------------------------------------------------------------------------------------------


class AttemptFailed(Exception):
    """The backend says that this job cannot be made, and trying again at once would not help."""

    def __init__(self, error: JobError, *, spent_micros: int = 0) -> None:
        """`spent_micros`: what was paid for a prompt that did not come."""
        self.error = error
        self.spent_micros = spent_micros
        super().__init__(f"{error.reason}: {error.message}")


class TaskFailed(AttemptFailed):
    """A task of paid work came to nothing, and this is known of the money."""

    def __init__(self, error: JobError, charge: Charge, *, wait_s: float = 0.0) -> None:
        """`wait_s`: how long the vendor wants to be left alone."""
        self.charge = charge
        self.wait_s = wait_s
        super().__init__(error)


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
class Attempt:
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

    def generate(self, attempt: Attempt) -> AsyncGenerator[BackendEvent, None]:
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


class PromptWriter(Protocol):
    """Writes prompts from scenes."""

    async def write(self, kind: str, scene: Scene, most_characters: int, name: str) -> PromptWritten:
        """Writes the prompt of an operation of this kind. A repeat under the same name is not paid for again.

        Raises:
            services.errors.Unavailable: not now; nothing was charged.
            AttemptFailed: not before somebody acts.
        """


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a vendor takes work now."""

    state: str
    """`available`, `broken` (its circuit breaker is open), `no-key`, `no-credit` or `unreachable`."""
    reason: str = ""
    """One sentence for a person; empty when available."""
    simulation: bool = False
    """It is a simulator, and no money is spent."""


@runtime_checkable
class Vendor(Backend, Protocol):
    """A backend that costs money. What it yields while it generates is Handover, Receipt, Stage and Output.

    `generate` also raises TaskFailed. Closing its iterator neither stops nor refunds the task.
    """

    async def look(self) -> Availability:
        """Asks whether it takes work now. Raises nothing: what cannot be asked is unreachable."""

    async def stop(self, external_ref: str, model: str) -> bool:
        """Asks the vendor to stop a task; True when it did, and the task costs nothing. Raises Unavailable."""

    async def find(self, call: PaidCall) -> tuple[Finding, str]:
        """Looks for the task of a submission; its reference comes with FOUND. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many jobs of one backend may run: what its queue holds to."""

    of_a_worker: int
    """At a time, in each worker."""
    together: int | None = None
    """At a time, over all workers; None: no limit."""
    a_minute: int | None = None
    """Begun in any minute, over all workers; None: no limit."""


Probe = Callable[[Path], VideoInfo]
"""Looks inside a video file. Blocking. Raises InvalidUpload when it is not a playable MP4."""

Listen = Callable[[Path], AudioInfo]
"""Looks inside a sound file. Blocking. Raises InvalidUpload when there is nothing to hear in it."""


# --- bytes ----------------------------------------------------------------------------------------------------------


class Blobs(Protocol):
    """Where bytes live, by key. Keys are our own (`domain.asset`), never a caller's text."""

    async def put_file(self, key: str, path: Path, *, media_type: str) -> None:
        """Stores a file's bytes, whole or not at all; nobody writes to the file any more. Idempotent.

        Raises: Unavailable.
        """

    def read(self, key: str, *, offset: int = 0) -> AsyncIterator[bytes]:
        """Yields the bytes from `offset` in chunks of at most 1 MiB. Raises NotFound, Unavailable."""

    async def size(self, key: str) -> int | None:
        """Returns the stored size in bytes, None when nothing is stored there."""

    async def delete(self, key: str) -> None:
        """Removes what is stored there; nothing stored is fine."""

    async def check(self) -> None:
        """Raises Unavailable when the store cannot take writes."""

    async def close(self) -> None:
        """Gives back connections and threads."""
