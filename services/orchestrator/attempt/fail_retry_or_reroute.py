"""Decides how an attempt ends: the job succeeds, fails, waits for a retry, goes to another model, or stops.

The event that says so is chosen from the attempt's outcome and from the job as it is under its row's lock. Pure.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from services.orchestrator.attempt.outcome import (
    Broke,
    Ending,
    Made,
    PaidTaskFailed,
    ReferenceTaken,
    Refused,
    Stopped,
    TemporarilyUnavailable,
    TimedOut,
)
from services.orchestrator.attempt.result import FinalEvent
from services.orchestrator.domain import next_event
from services.orchestrator.domain.event import JobError, Rerouted, Retrying
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.paid_call import Call, Charge
from services.reasons import JobReason, VendorReason

FALLBACK_REASONS = frozenset(
    {
        VendorReason.BAD_KEY,
        VendorReason.NO_CREDIT,
        VendorReason.RATE_LIMITED,
        VendorReason.VENDOR_DOWN,
        VendorReason.CIRCUIT_OPEN,
        VendorReason.NOTHING_SUBMITTED,
        VendorReason.PROVIDER_UNREACHABLE,
        VendorReason.PROVIDER_MISMATCH,
        JobReason.BACKEND_UNKNOWN,
    }
)
"""Reasons that concern one vendor alone, so another may take the job. Errors in the spec are not among them."""


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """What the event depends on besides the outcome and the job."""

    remote: bool
    """Whether a vendor runs the model."""
    has_task: bool
    """Whether the vendor has accepted a task of the job."""
    partial_charge_micros: int
    """The price of the frames that were made."""
    longest_retry_s: float = next_event.RETRY_MOST_S
    """The longest wait before the next attempt, if no vendor asks for more."""
    fallback: Rerouted | None = None
    """The change to another model, if the vendor's error allows one and there is one."""


def final_event(outcome: Ending, job: Job, facts: AttemptFacts, now: datetime) -> FinalEvent:
    """Returns the event that ends the attempt."""
    if facts.fallback is not None and _may_change_model(job):
        return facts.fallback
    event = _event(outcome, job, facts, now)
    if not isinstance(event, Retrying):
        return event
    if job.state is State.CANCELLING:
        return next_event.stopped(job, facts.partial_charge_micros)
    if job.call is Call.NONE and facts.remote:
        # The queue's slots are for calls to the vendor. The job has none now, and its next attempt pays for a new one.
        return replace(event, requeued=True)
    return event


def rerouting_error(outcome: Ending) -> JobError | None:
    """Returns the vendor's own error that lets another model try; None if the outcome has none."""
    match outcome:
        case Refused(error=error) | TemporarilyUnavailable(error=error):
            pass
        case PaidTaskFailed(error=error, charge=charge):
            if charge is not Charge.NOT_CHARGED:
                return None
        case Made() | ReferenceTaken() | Stopped() | TimedOut() | Broke():
            return None
        case _:
            assert_never(outcome)
    return error if error.reason in FALLBACK_REASONS else None


def _may_change_model(job: Job) -> bool:
    """Whether it is certain that nothing was charged."""
    return job.state is State.RUNNING and job.call is Call.NONE and not job.resumes


def _event(outcome: Ending, job: Job, facts: AttemptFacts, now: datetime) -> FinalEvent:
    match outcome:
        case Made(output=output):
            return next_event.succeed(job, output)
        case Refused(error=error, spent_micros=spent_micros):
            return next_event.fail(job, error, spent_micros=spent_micros)
        case PaidTaskFailed():
            return _after_paid_task(outcome, job, facts, now)
        case TemporarilyUnavailable(error=error, wait_s=wait_s):
            return next_event.retry_or_fail(now, job, error, wait_s=wait_s, most_s=facts.longest_retry_s)
        case ReferenceTaken():
            return next_event.taken(job)
        case Stopped():
            return next_event.stopped(job, facts.partial_charge_micros)
        case TimedOut():
            message = f"The job did not end by {job.expire_time:%H:%M:%S} UTC."
            return next_event.fail(job, JobError(JobReason.DEADLINE_EXCEEDED, message, retryable=True, resumable=True))
        case Broke(error=error):
            return next_event.fail(job, error)
        case _:
            assert_never(outcome)


def _after_paid_task(outcome: PaidTaskFailed, job: Job, facts: AttemptFacts, now: datetime) -> FinalEvent:
    """Returns the event after a vendor's task failed: what is known of its charge decides."""
    if outcome.charge is Charge.CHARGED:
        return next_event.charge(job, outcome.error)
    exhausted = facts.has_task and job.attempt >= next_event.TASKS
    if outcome.charge is Charge.NOT_CHARGED and outcome.error.retryable and not exhausted:
        return next_event.retry_or_fail(now, job, outcome.error, wait_s=outcome.wait_s, most_s=facts.longest_retry_s)
    return next_event.fail(job, outcome.error)
