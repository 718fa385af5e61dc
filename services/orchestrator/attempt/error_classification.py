"""The only place that classifies exceptions: each error of an attempt's work becomes an outcome."""

import logging

from services.errors import InvalidInput, ServiceError, Unavailable
from services.orchestrator.attempt.outcome import (
    Broke,
    Outcome,
    PaidTaskFailed,
    ReferenceTaken,
    Refused,
    TemporarilyUnavailable,
)
from services.orchestrator.attempt.result import TakenOver
from services.orchestrator.domain import next_event
from services.orchestrator.domain.attempt_guard import Superseded
from services.orchestrator.domain.event import JobError
from services.orchestrator.ports.backend import AttemptFailed
from services.orchestrator.ports.paid_backend import TaskFailed
from services.orchestrator.ports.prompt_writer import ModelDown
from services.reasons import ServiceReason
from services.resource_shortage import shortage

log = logging.getLogger(__name__)


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
        case ServiceError(reason=next_event.TAKEN.reason):
            return ReferenceTaken()
        case ServiceError():
            resumable = not isinstance(error, InvalidInput)  # an invalid video stays invalid
            return Broke(JobError(error.reason, error.message, retryable=False, resumable=resumable))
    if (lacking := shortage(error)) is not None:
        log.warning("the attempt lacked resources", extra={"reason": lacking.reason, "cause": repr(error)})
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
