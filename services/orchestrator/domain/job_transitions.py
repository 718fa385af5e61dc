"""What each event changes in a job. `apply` is the only way that a job changes.

    QUEUED ─Started─▶ RUNNING ─Succeeded | Failed─▶ (ended)
      │  ▲               │
      │  └───Retrying────┤
      │                  └─CancelRequested─▶ CANCELLING ─Cancelled | Succeeded | Failed─▶ (ended)
      └─Cancelled | Failed─▶ (ended)

If its worker is lost, a job starts again from RUNNING or CANCELLING, with the next attempt number. Writes of the old
attempt are refused as Superseded.

Where a vendor is paid, the job carries its call (`paid_call`). A call whose answer was lost makes the job RECONCILING
until its outcome is known:

    RUNNING | CANCELLING ─Reconciling─▶ RECONCILING ─Accepted, Resumed─▶ QUEUED | CANCELLING
                                             └─Released, Failed | Failed, charged─▶ (ended)

A stop that was requested before is kept: the job continues as CANCELLING, or ends by Cancelled.
"""

from dataclasses import replace
from datetime import datetime

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
    Unrecognized,
    Warned,
)
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.paid_call import Call


class IllegalEvent(Exception):
    """The event cannot happen to a job in this state: a fault of this program, never of a caller."""


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


def _fold(job: Job, body: Body | Unrecognized, time: datetime) -> Job:
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
    if charged < job.owed_micros:
        raise IllegalEvent(f"{job!r} cannot be charged {charged}: what may be paid for costs {job.owed_micros}")
    call = Call.CHARGED if job.call.live else job.call
    return replace(job, state=state, call=call, charged_micros=charged, end_time=time)
