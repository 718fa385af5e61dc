"""Outcomes of attempts: each error of the work is classified once."""

import errno
import logging

import pytest

from services.errors import InvalidUpload, NotFound, PreconditionFailed, ServiceError, Unavailable, Violation
from services.orchestrator.attempt.error_classification import outcome_of_error
from services.orchestrator.attempt.outcome import (
    Broke,
    Outcome,
    PaidTaskFailed,
    ReferenceTaken,
    Refused,
    TemporarilyUnavailable,
)
from services.orchestrator.attempt.result import TakenOver
from services.orchestrator.domain.attempt_guard import Superseded
from services.orchestrator.domain.event import JobError
from services.orchestrator.domain.next_event import TAKEN
from services.orchestrator.domain.paid_call import Charge
from services.orchestrator.ports.backend import AttemptFailed
from services.orchestrator.ports.paid_backend import TaskFailed
from services.orchestrator.ports.prompt_writer import ModelDown
from services.reasons import PromptReason

ERROR = JobError("ENGINE_REFUSED", "No.", retryable=False)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Superseded("attempt 2 has it"), TakenOver()),
        (AttemptFailed(ERROR, spent_micros=7), Refused(ERROR, spent_micros=7)),
        (TaskFailed(ERROR, Charge.UNKNOWN, wait_s=3), PaidTaskFailed(ERROR, Charge.UNKNOWN, wait_s=3)),
        (
            Unavailable("Not now.", reason="ENGINE_AWAY", retry_after_s=9),
            TemporarilyUnavailable(JobError("ENGINE_AWAY", "Not now.", retryable=True)),
        ),
        (
            ModelDown("Not now.", reason=PromptReason.LLM_DOWN, retry_after_s=9),
            TemporarilyUnavailable(JobError("LLM_DOWN", "Not now.", retryable=True), wait_s=9),
        ),
        (PreconditionFailed("Taken.", reason=TAKEN.reason), ReferenceTaken()),
    ],
    ids=lambda each: type(each).__name__,
)
def test_an_error_becomes_the_outcome_of_its_kind(error: Exception, outcome: Outcome) -> None:
    assert outcome_of_error(error) == outcome


@pytest.mark.parametrize(
    ("error", "resumable"),
    [(NotFound("asset", "x"), True), (InvalidUpload([Violation("data", "is no video")]), False)],
    ids=["missing", "invalid"],
)
def test_another_error_of_the_service_is_not_retried_and_an_invalid_video_not_resumed(
    error: ServiceError, resumable: bool
) -> None:
    outcome = outcome_of_error(error)
    assert outcome == Broke(JobError(error.reason, error.message, retryable=False, resumable=resumable))


def test_a_full_disk_is_a_temporary_error(caplog: pytest.LogCaptureFixture) -> None:
    outcome = outcome_of_error(OSError(errno.ENOSPC, "No space left on device"))
    assert isinstance(outcome, TemporarilyUnavailable) and outcome.error.reason == "DISK_FULL"
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.WARNING, "the attempt lacked resources")
    ]


def test_a_fault_of_ours_is_internal_and_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    error = KeyError("of ours")
    outcome = outcome_of_error(error)
    assert isinstance(outcome, Broke) and outcome.error.reason == "INTERNAL" and outcome.error.retryable
    (record,) = caplog.records
    assert record.message == "the attempt broke" and record.exc_info and record.exc_info[1] is error
