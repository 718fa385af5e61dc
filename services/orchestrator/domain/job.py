"""The job: the fold of its events. `apply` is the only way that a job changes.

    QUEUED ─Started─▶ RUNNING ─Succeeded | Failed─▶ (ended)
      │  ▲               │
      │  └───Retrying────┤
      │                  └─CancelRequested─▶ CANCELLING ─Cancelled | Succeeded | Failed─▶ (ended)
      └─Cancelled | Failed─▶ (ended)

A lost worker's job is started again from RUNNING or CANCELLING, with the next attempt number; what the old attempt
still writes is refused as Superseded.

Where a vendor is paid, the job carries its call (`paid_call`). A call whose answer was lost makes the job RECONCILING
until it is known what became of it:

    RUNNING | CANCELLING ─Reconciling─▶ RECONCILING ─Accepted, Resumed─▶ QUEUED | CANCELLING
                                             └─Released, Failed | Failed, charged─▶ (ended)

One that was asked to stop before is not forgotten to be: it goes on as CANCELLING, or ends by Cancelled.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.orchestrator.domain.event import (
    Accepted,
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
    PromptWritten,
    Reconciling,
    Released,
    Rerouted,
    Resumed,
    Retrying,
    Started,
    Submitting,
    Succeeded,
    VideoOutput,
    Warned,
)
from services.orchestrator.domain.paid_call import Call
from services.orchestrator.domain.spec import Spec

TASKS = 3
"""Attempts after which a task that a vendor took, failed and gave back is bought no more: its money lies there long.
Those count too that never got so far, as when the vendor had no room."""
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
    """What was set aside: the most that the job can cost."""
    price_micros: int
    """The part of it that the video costs."""
    create_time: datetime
    expire_time: datetime
    resumes: str = ""
    """The job whose paid work this one attaches to; empty: it does its own."""
    state: State = State.QUEUED
    stopping: bool = False
    """Somebody asked it to stop before it became RECONCILING."""
    call: Call = Call.NONE
    tried: tuple[str, ...] = ()
    """Models of the capability that were asked before the one of the spec."""
    written: PromptWritten | None = None
    """The prompt that was written from the spec's scene."""
    workflow: str = ""
    """The queue entry that may make attempts; empty: the one of the admission."""
    stage: str = "queued"
    progress: float = 0.0
    attempt: int = 0
    last_sequence: int = 0
    charged_micros: int | None = None
    refunded_micros: int = 0
    """What was given back of it after the end: no event says so, for none follows the end."""
    output: VideoOutput | None = None
    error: JobError | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None

    @property
    def prompt(self) -> str:
        """What the model is told; empty while it is still to be written."""
        return self.written.prompt if self.written else self.spec.operation.prompt

    @property
    def prompt_cost_micros(self) -> int:
        """What the writing of the prompt is charged: its cost, as far as the quote provides for it."""
        return min(self.written.cost_micros, self.quote_micros - self.price_micros) if self.written else 0

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
        case Started(attempt=attempt) if attempt == job.attempt + 1 and _may_start(job):
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
        case Rerouted() if state is State.RUNNING and job.call is Call.NONE and not job.resumes:
            return _rerouted(job, body)
        case Warned() if running:
            return job
        case PromptWritten() if running and job.written is None:
            return replace(job, written=body)
        case Submitting() if state is State.RUNNING and job.call is Call.NONE and not job.resumes:
            return replace(job, call=Call.SUBMITTING, stage="submit")
        case Accepted() if job.call is Call.SUBMITTING:
            return replace(job, call=Call.ACCEPTED)
        case Released() if job.call.live and (running or state is State.RECONCILING):
            return replace(job, call=Call.NONE)
        case Reconciling() if running and job.call is Call.SUBMITTING:
            return replace(job, state=State.RECONCILING, stage="reconcile", stopping=state is State.CANCELLING)
        case Reconciling() if state is State.RECONCILING and job.call is Call.SUBMITTING:
            return job
        case Resumed(expire_time=expire_time) if state is State.RECONCILING and job.call is Call.ACCEPTED:
            entry = f"{job.id}.{job.last_sequence + 1}"
            goes_on = State.CANCELLING if job.stopping else State.QUEUED
            return replace(job, state=goes_on, stage="queued", expire_time=expire_time, workflow=entry)
        case CancelRequested() if state is State.RUNNING or (state is State.QUEUED and job.call.live):
            return replace(job, state=State.CANCELLING)
        case Retrying(requeued=requeued) if state is State.RUNNING:
            entry = f"{job.id}.{job.last_sequence + 1}" if requeued else job.workflow
            return replace(job, state=State.QUEUED, stage="queued", progress=0.0, workflow=entry)
        case Succeeded(output=output, charged_micros=charged) if running:
            return replace(_ended(job, State.SUCCEEDED, charged, time), output=output, stage="done", progress=1.0)
        case Failed(error=error, charged_micros=charged):
            return replace(_ended(job, State.FAILED, charged, time), error=error)
        case Cancelled(charged_micros=charged) if state in (State.QUEUED, State.CANCELLING):
            return _ended(job, State.CANCELLED, charged, time)
        case Cancelled(charged_micros=charged) if state is State.RECONCILING and job.stopping:
            return _ended(job, State.CANCELLED, charged, time)
    raise IllegalEvent(f"{job!r} cannot take {body!r}")


def _rerouted(job: Job, body: Rerouted) -> Job:
    if body.model in (*job.tried, job.spec.model) or not 0 <= body.price_micros <= job.quote_micros:
        raise IllegalEvent(f"{job!r} cannot go from {job.spec.model} to {body.model} for {body.price_micros}")
    return replace(
        job,
        state=State.QUEUED,
        stage="queued",
        progress=0.0,
        spec=replace(job.spec, model=body.model),
        price_micros=body.price_micros,
        tried=(*job.tried, job.spec.model),
        workflow=f"{job.id}.{job.last_sequence + 1}",
    )


def _may_start(job: Job) -> bool:
    return job.state is not State.RECONCILING and job.call is not Call.SUBMITTING


def _ended(job: Job, state: State, charged: int, time: datetime) -> Job:
    if not 0 <= charged <= job.quote_micros:
        raise IllegalEvent(f"{job!r} cannot be charged {charged} of {job.quote_micros}")
    if charged < owed(job):
        raise IllegalEvent(f"{job!r} cannot be charged {charged}: what may be paid for costs {owed(job)}")
    call = Call.CHARGED if job.call.live else job.call
    return replace(job, state=state, call=call, charged_micros=charged, end_time=time)


def owed(job: Job) -> int:
    """Returns what the job costs if it ends now without a video: what vendors were, or may have been, paid for it."""
    return job.prompt_cost_micros + (job.price_micros if job.call.live else 0)


def start(job: Job, workflow: str = "") -> Started | Reconciling | None:
    """Returns what begins the next attempt; None when there is none to begin, or not by this queue entry.

    A submission that was under way when its worker was lost is not made again: the job is RECONCILING.
    """
    if job.state.ended or job.state is State.RECONCILING or workflow not in ("", job.workflow or job.id):
        return None
    if job.call is Call.SUBMITTING:
        return lost(job)
    return Started(job.attempt + 1)


LOST = JobError("ANSWER_LOST", "The vendor's answer was lost. The vendor is asked for the outcome.", retryable=False)
TAKEN = JobError(
    "REFERENCE_TAKEN",
    "The vendor named a task that another job has. An operator has to find this job's own task.",
    retryable=False,
)


def lost(job: Job) -> Reconciling:
    """Returns what a submission without an answer comes to."""
    return Reconciling(LOST)


def taken(job: Job) -> Failed | Reconciling:
    """Returns the body of the event for a submission that the vendor answered with another job's task."""
    return Reconciling(TAKEN) if job.call is Call.SUBMITTING else fail(job, TAKEN)


def cancel(job: Job) -> Cancelled | CancelRequested | None:
    """Returns what a request to stop does to the job, or None when there is nothing to stop."""
    if job.state is State.QUEUED:
        return CancelRequested() if job.call.live else Cancelled(charged_micros=owed(job))
    return CancelRequested() if job.state is State.RUNNING else None


def expire(now: datetime, job: Job, *, grace_s: float) -> Failed | Reconciling | None:
    """Returns the end of a job that nobody began, or finished, in time; None when it is not (any more) such a job."""
    begun = job.state is not State.QUEUED
    if job.state.ended or job.expire_time + timedelta(seconds=grace_s if begun else 0) > now:
        return None
    if job.state is State.RECONCILING:
        return None
    why = f"{'The job did not end' if begun else 'No worker was free'} by {job.expire_time:%H:%M:%S} UTC."
    return fail(job, JobError("DEADLINE_EXCEEDED", why, retryable=True, resumable=True))


def fail(job: Job, error: JobError, *, spent_micros: int = 0) -> Failed | Reconciling:
    """Returns what a job that cannot go on comes to: an end that pays what it owes, or RECONCILING where none knows.

    What was not paid for cannot be resumed, whatever the error says. `spent_micros` went for a prompt that never came.
    """
    if job.call is Call.SUBMITTING:
        return lost(job)
    resumable = error.resumable and job.call is Call.ACCEPTED
    room = job.quote_micros - job.price_micros - job.prompt_cost_micros
    return Failed(replace(error, resumable=resumable), charged_micros=owed(job) + min(spent_micros, room))


def charge(job: Job, error: JobError) -> Failed:
    """Returns the end of a job whose task was paid for and brought nothing."""
    return Failed(replace(error, resumable=error.resumable and job.call.live), charged_micros=owed(job))


def settle(job: Job, error: JobError) -> Failed | Cancelled:
    """Returns the end of a RECONCILING job of which is known now what it owes."""
    return Cancelled(owed(job)) if job.stopping else Failed(error, charged_micros=owed(job))


def succeed(job: Job, output: VideoOutput) -> Succeeded:
    """Returns the end of a job whose video is there."""
    return Succeeded(output, charged_micros=job.price_micros + job.prompt_cost_micros)


def stopped(job: Job, made_micros: int) -> Cancelled | Reconciling:
    """Returns what a job that was asked to stop comes to: it pays for what was made, or for what a vendor is paid."""
    return lost(job) if job.call is Call.SUBMITTING else Cancelled(max(made_micros, owed(job)))


def again(now: datetime, job: Job, error: JobError, *, wait_s: float = 0.0) -> Retrying | Failed | Reconciling:
    """Returns what an attempt that could not go on comes to: another one after a while, or the end for want of time.

    `wait_s` is how long a vendor, or a language model, wants to be left alone.
    """
    wait_s = max(wait_s, min(RETRY_MOST_S, RETRY_FIRST_S * 2 ** min(job.attempt - 1, 10)))
    retry_time = now + timedelta(seconds=wait_s)
    nothing_to_do = job.resumes != "" and job.call is Call.NONE
    if job.call is Call.SUBMITTING or nothing_to_do or retry_time >= job.expire_time:
        return fail(job, replace(error, resumable=True))
    return Retrying(error, retry_time)


def guard(job: Job, attempt: int) -> None:
    """Holds a writer against the job's current attempt. Raises Superseded when it is not (or no longer) its own."""
    if job.attempt != attempt or job.state not in (State.RUNNING, State.CANCELLING):
        raise Superseded(f"{job!r} is not in attempt {attempt} any more")
