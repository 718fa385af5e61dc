"""Which event comes next for a job: one function for each occasion, such as a request to stop or a failure.

Each function only returns the event's body. The caller records it, and `job_transitions` applies it.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from services.orchestrator.domain.event import (
    Cancelled,
    CancelRequested,
    Failed,
    JobError,
    Reconciling,
    Retrying,
    Started,
    Succeeded,
    VideoOutput,
)
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.paid_call import Call
from services.reasons import JobReason, RequestReason, VendorReason

TASKS = 3
"""Attempts after which a task that a vendor fails and refunds is not submitted again: refunds take long.
Attempts without a submission count too, for example if the vendor had no capacity."""
RETRY_FIRST_S, RETRY_MOST_S = 0.5, 15.0
"""Seconds before the second attempt, which double with each attempt, and their maximum."""


def start(job: Job, workflow: str = "", now: datetime | None = None) -> Started | Failed | Reconciling | None:
    """Returns the event that begins the next attempt; None if there is none to begin, or not by this queue entry.

    A submission that was in progress when its worker was lost is not repeated: the job is RECONCILING. A job that is
    taken after its start timeout fails.
    """
    if job.state.ended or job.state is State.RECONCILING or workflow not in ("", job.workflow or job.id):
        return None
    if job.call is Call.SUBMITTING:
        return lost(job)
    if now is not None and (late := _not_started(now, job)) is not None:
        return late
    return Started(job.attempt + 1)


LOST = JobError(
    VendorReason.ANSWER_LOST, "The vendor's answer was lost. The vendor is asked for the outcome.", retryable=False
)
TAKEN = JobError(
    RequestReason.REFERENCE_TAKEN,
    "The vendor named a task that another job has. An operator has to find this job's own task.",
    retryable=False,
)


def lost(job: Job) -> Reconciling:
    """Returns the event for a submission without an answer."""
    return Reconciling(LOST)


def taken(job: Job) -> Failed | Reconciling:
    """Returns the body of the event for a submission that the vendor answered with another job's task."""
    return Reconciling(TAKEN) if job.call is Call.SUBMITTING else fail(job, TAKEN)


def cancel(job: Job) -> Cancelled | CancelRequested | None:
    """Returns the event for a request to stop; None if there is nothing to stop."""
    if job.state is State.QUEUED:
        return CancelRequested() if job.call.live else Cancelled(charged_micros=job.owed_micros)
    return CancelRequested() if job.state is State.RUNNING else None


def _not_started(now: datetime, job: Job) -> Failed | Reconciling | None:
    """Returns the end of a job that has not begun by its start timeout."""
    if job.start_by is None or job.start_by > now or job.state is not State.QUEUED:
        return None
    why = f"No worker was free by {job.start_by:%H:%M:%S} UTC, the start timeout of the job."
    return fail(job, JobError(JobReason.START_TIMEOUT, why, retryable=True))


def expire(now: datetime, job: Job, *, grace_s: float) -> Failed | Reconciling | None:
    """Returns the end of a job that no worker began or finished in time; None if it is not overdue, or not any more."""
    if (late := _not_started(now, job)) is not None:
        return late
    begun = job.state is not State.QUEUED
    if job.state.ended or job.expire_time + timedelta(seconds=grace_s if begun else 0) > now:
        return None
    if job.state is State.RECONCILING:
        return None
    why = f"{'The job did not end' if begun else 'No worker was free'} by {job.expire_time:%H:%M:%S} UTC."
    return fail(job, JobError(JobReason.DEADLINE_EXCEEDED, why, retryable=True, resumable=True))


def fail(job: Job, error: JobError, *, spent_micros: int = 0) -> Failed | Reconciling:
    """Returns the event for a job that cannot continue: an end with its charge, or RECONCILING if that is unknown.

    A job without a paid task cannot be resumed, even if the error says so. `spent_micros` is the cost of a prompt that
    was not delivered.
    """
    if job.call is Call.SUBMITTING:
        return lost(job)
    resumable = error.resumable and job.call is Call.ACCEPTED
    room = job.quote_micros - job.price_micros - job.prompt_cost_micros
    return Failed(replace(error, resumable=resumable), charged_micros=job.owed_micros + min(spent_micros, room))


def charge(job: Job, error: JobError) -> Failed:
    """Returns the end of a job whose task was charged but has no video."""
    return Failed(replace(error, resumable=error.resumable and job.call.live), charged_micros=job.owed_micros)


def settle(job: Job, error: JobError) -> Failed | Cancelled:
    """Returns the end of a RECONCILING job whose cost is now known."""
    return Cancelled(job.owed_micros) if job.stopping else Failed(error, charged_micros=job.owed_micros)


def succeed(job: Job, output: VideoOutput) -> Succeeded:
    """Returns the end of a job whose video is there."""
    return Succeeded(output, charged_micros=job.price_micros + job.prompt_cost_micros)


def stopped(job: Job, made_micros: int) -> Cancelled | Reconciling:
    """Returns the event for a job that was stopped: it is charged for what was made, or for what a vendor is paid."""
    return lost(job) if job.call is Call.SUBMITTING else Cancelled(max(made_micros, job.owed_micros))


def retry_or_fail(
    now: datetime, job: Job, error: JobError, *, wait_s: float = 0.0, most_s: float = RETRY_MOST_S
) -> Retrying | Failed | Reconciling:
    """Returns the event for an attempt that could not continue: a retry, or the end if there is no time for one.

    `wait_s` is the least wait in seconds, as a vendor or a language model asks; `most_s` is the longest without one.
    """
    wait_s = max(wait_s, min(most_s, RETRY_FIRST_S * 2 ** min(job.attempt - 1, 10)))
    retry_time = now + timedelta(seconds=wait_s)
    nothing_to_do = job.resumes != "" and job.call is Call.NONE
    if job.call is Call.SUBMITTING or nothing_to_do or retry_time >= job.expire_time:
        return fail(job, replace(error, resumable=True))
    return Retrying(error, retry_time)
