"""The outcome of an attempt: how its work ended, as a value.

`outcome_of_error` is the only place that classifies exceptions. All later decisions match on the outcome.
"""

import logging
from dataclasses import dataclass

from services.errors import InvalidInput, ServiceError, Unavailable
from services.orchestrator.attempt.result import TakenOver
from services.orchestrator.domain import job_decisions
from services.orchestrator.domain.attempt_guard import Superseded
from services.orchestrator.domain.event import JobError, VideoOutput
from services.orchestrator.domain.paid_call import Charge
from services.orchestrator.ports.backend import AttemptFailed
from services.orchestrator.ports.paid_backend import TaskFailed
from services.orchestrator.ports.prompt_writer import ModelDown
from services.reasons import ServiceReason
from services.resource_shortage import shortage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """The video was made and stored."""

    output: VideoOutput


@dataclass(frozen=True, slots=True)
class Refused:
    """The job cannot be made; another attempt would not help."""

    error: JobError
    spent_micros: int = 0
    """What was paid for a prompt that was not delivered."""


@dataclass(frozen=True, slots=True)
class PaidTaskFailed:
    """A vendor's task failed."""

    error: JobError
    charge: Charge
    """Whether the vendor charged it."""
    wait_s: float = 0.0
    """The least wait before the next attempt, as the vendor asked."""


@dataclass(frozen=True, slots=True)
class TemporarilyUnavailable:
    """The backend, another service or one of our own resources is unavailable; another attempt may succeed."""

    error: JobError
    wait_s: float = 0.0
    """The least wait before the next attempt."""


@dataclass(frozen=True, slots=True)
class ReferenceTaken:
    """The vendor answered a submission with a task that belongs to another job."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The job was asked to stop."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The job's deadline passed."""


@dataclass(frozen=True, slots=True)
class Broke:
    """An error that is not the backend's: unusable output, or a fault of ours."""

    error: JobError


Ending = Made | Refused | PaidTaskFailed | TemporarilyUnavailable | ReferenceTaken | Stopped | TimedOut | Broke
"""Outcomes that an event of the job records."""
Outcome = Ending | TakenOver


def outcome_of_error(error: Exception) -> Outcome:
    """Classifies the exception that ended the work, and logs it if it is a fault or a shortage of ours."""
    match error:
        case Superseded():
            return TakenOver()
        case TaskFailed():
            return PaidTaskFailed(error.error, error.charge, error.wait_s)
        case AttemptFailed():
            return Refused(error.error, error.spent_micros)
        case Unavailable():
            return _unavailable(error)
        case ServiceError(reason=job_decisions.TAKEN.reason):
            return ReferenceTaken()
        case ServiceError():
            resumable = not isinstance(error, InvalidInput)  # an invalid video stays invalid
            return Broke(JobError(error.reason, error.message, retryable=False, resumable=resumable))
    if (lacking := shortage(error)) is not None:
        log.warning("the attempt lacked resources", extra={"reason": lacking.reason, "error": repr(error)})
        return _unavailable(lacking)
    # The boundary of the attempt: a fault of ours must not leave a job, or its reservation, without an end.
    log.error("the attempt broke", exc_info=error)
    return internal_error("The service failed to make this video; it has been logged.")


def internal_error(message: str) -> Broke:
    """Returns the outcome of a fault of ours."""
    return Broke(JobError(ServiceReason.INTERNAL, message, retryable=True, resumable=True))


def _unavailable(error: Unavailable) -> TemporarilyUnavailable:
    wait_s = error.retry_after_s if isinstance(error, ModelDown) else 0.0
    return TemporarilyUnavailable(JobError(error.reason, error.message, retryable=True), wait_s)
