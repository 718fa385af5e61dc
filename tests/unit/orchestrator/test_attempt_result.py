"""What the workflow does after an attempt."""

from datetime import timedelta

import pytest

from services.orchestrator.attempt.result import (
    AttemptResult,
    AwaitsReconciliation,
    FinalEvent,
    JobEnded,
    Requeued,
    RetryAfter,
    result_of,
)
from services.orchestrator.domain.event import Cancelled, Failed, JobError, Reconciling, Rerouted, Retrying
from tests.support.builders import NOON

ERROR = JobError("VENDOR_DOWN", "Not now.", retryable=True)


@pytest.mark.parametrize(
    ("event", "result"),
    [
        (Failed(ERROR, 0), JobEnded()),
        (Cancelled(0), JobEnded()),
        (Reconciling(ERROR), AwaitsReconciliation()),
        (Rerouted("other-model", "other", 900, "test-model", ERROR), Requeued()),
        (Retrying(ERROR, NOON + timedelta(seconds=4), requeued=True), Requeued()),
        (Retrying(ERROR, NOON + timedelta(seconds=4)), RetryAfter(4.0)),
        (Retrying(ERROR, NOON - timedelta(seconds=4)), RetryAfter(0.0)),
    ],
    ids=["failed", "cancelled", "reconciling", "rerouted", "requeued", "retrying", "retrying, late"],
)
def test_the_event_that_ended_an_attempt_says_what_follows(event: FinalEvent, result: AttemptResult) -> None:
    assert result_of(event, NOON) == result
