"""The job: the fold of its events. `apply` is the only way that a job changes.

    QUEUED ─Started─▶ RUNNING ─Succeeded | Failed─▶ (ended)
      │  ▲               │
      │  └───Retrying────┤
      │                  └─CancelRequested─▶ CANCELLING ─Cancelled | Succeeded | Failed─▶ (ended)
      └─Cancelled | Failed─▶ (ended)

A lost worker's job is started again from RUNNING or CANCELLING, with the next attempt number; what the old attempt
still writes is refused as Superseded.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.orchestrator.domain.event import (
    Admitted,
    Body,
    Cancelled,
    CancelRequested,
    Continued,
    Event,
    Failed,
    FragmentReady,
    JobError,
    Progressed,
    Retrying,
    Started,
    Succeeded,
    VideoOutput,
)
from services.orchestrator.domain.spec import Spec

RETRY_FIRST_S, RETRY_MOST_S = 0.5, 15.0
"""The wait after the first attempt that could not go on; it doubles up to the most."""


class State(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    RECONCILING = "reconciling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing can happen to the job any more."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class IllegalEvent(Exception):
    """The event cannot happen to a job in this state: a fault of this program, never of a caller."""


class Superseded(Exception):
    """Another attempt has taken the job over; whoever sees this stops and writes nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One video to be made, as it is now."""

    id: str
    tenant: str
    user: str
    request_id: str
    spec: Spec
    """Completed: every default is filled in."""
    quote_micros: int
    create_time: datetime
    expire_time: datetime
    state: State = State.QUEUED
    stage: str = "queued"
    progress: float = 0.0
    attempt: int = 0
    last_sequence: int = 0
    charged_micros: int | None = None
    output: VideoOutput | None = None
    error: JobError | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None

    def __repr__(self) -> str:
        done = f"{self.stage} {self.progress:.0%} #{self.last_sequence}"
        return f"<Job {self.id} {self.state} attempt={self.attempt} {done}>"


def apply(job: Job, event: Event) -> Job:
    """Returns the job after an event.

    Raises:
        IllegalEvent: the event cannot happen in the job's state, or is out of sequence.
    """
    if event.sequence != job.last_sequence + 1:
        raise IllegalEvent(f"{job!r} cannot take event {event.sequence}")
    if job.state.ended:
        raise IllegalEvent(f"{job!r} has ended and cannot take {event.body!r}")
    return replace(_fold(job, event.body, event.time), last_sequence=event.sequence)


def _fold(job: Job, body: Body, time: datetime) -> Job:
    state, running = job.state, job.state in (State.RUNNING, State.CANCELLING)
    match body:
        case Admitted() if job.last_sequence == 0:
            return job
        case Started(attempt=attempt) if attempt == job.attempt + 1:
            again = State.CANCELLING if state is State.CANCELLING else State.RUNNING
            return replace(
                job,
                state=again,
                attempt=attempt,
                stage="encode-inputs",
                progress=0.0,
                start_time=job.start_time or time,
            )
        case Continued(progress=progress) if running:
            return replace(job, progress=max(job.progress, progress))
        case Progressed(stage=stage, progress=progress) if running:
            return replace(job, stage=stage, progress=max(job.progress, progress))
        case FragmentReady(progress=progress) if running:
            return replace(job, stage="generate", progress=max(job.progress, progress))
        case CancelRequested() if state is State.RUNNING:
            return replace(job, state=State.CANCELLING)
        case Retrying() if state is State.RUNNING:
            return replace(job, state=State.QUEUED, stage="queued", progress=0.0)
        case Succeeded(output=output, charged_micros=charged) if running:
            return replace(_ended(job, State.SUCCEEDED, charged, time), output=output, stage="done", progress=1.0)
        case Failed(error=error, charged_micros=charged):
            return replace(_ended(job, State.FAILED, charged, time), error=error)
        case Cancelled(charged_micros=charged) if state in (State.QUEUED, State.CANCELLING):
            return _ended(job, State.CANCELLED, charged, time)
    raise IllegalEvent(f"{job!r} cannot take {body!r}")


def _ended(job: Job, state: State, charged: int, time: datetime) -> Job:
    if not 0 <= charged <= job.quote_micros:
        raise IllegalEvent(f"{job!r} cannot be charged {charged} of {job.quote_micros}")
    return replace(job, state=state, charged_micros=charged, end_time=time)


def start(job: Job) -> Started | None:
    """Returns the event that begins the next attempt, or None when the job has ended already."""
    return None if job.state.ended else Started(job.attempt + 1)


def cancel(job: Job) -> Cancelled | CancelRequested | None:
    """Returns what a request to stop does to the job, or None when there is nothing to stop."""
    if job.state is State.QUEUED:
        return Cancelled(charged_micros=0)
    return CancelRequested() if job.state is State.RUNNING else None


def expire(now: datetime, job: Job, *, grace_s: float) -> Failed | None:
    """Returns the end of a job that nobody began, or finished, in time; None when it is not (any more) such a job."""
    begun = job.state is not State.QUEUED
    if job.state.ended or job.expire_time + timedelta(seconds=grace_s if begun else 0) > now:
        return None
    why = f"{'The job did not end' if begun else 'No worker was free'} by {job.expire_time:%H:%M:%S} UTC."
    return Failed(JobError("DEADLINE_EXCEEDED", why, retryable=True), charged_micros=0)


def again(now: datetime, job: Job, error: JobError) -> Retrying | Failed:
    """Returns what an attempt that could not go on comes to: another one after a while, or the end for want of time."""
    wait_s = min(RETRY_MOST_S, RETRY_FIRST_S * 2 ** min(job.attempt - 1, 10))
    retry_time = now + timedelta(seconds=wait_s)
    return Retrying(error, retry_time) if retry_time < job.expire_time else Failed(error, charged_micros=0)


def guard(job: Job, attempt: int) -> None:
    """Holds a writer against the job's current attempt. Raises Superseded when it is not (or no longer) its own."""
    if job.attempt != attempt or job.state.ended or job.state is State.QUEUED:
        raise Superseded(f"{job!r} is not in attempt {attempt} any more")
