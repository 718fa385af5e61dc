"""The event that ends an attempt, by its outcome and by the job under its lock."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.orchestrator.attempt.fail_retry_or_reroute import AttemptFacts, final_event, rerouting_error
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
from services.orchestrator.domain.event import (
    Cancelled,
    Failed,
    JobError,
    Reconciling,
    Rerouted,
    Retrying,
    Succeeded,
    VideoOutput,
)
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.next_event import TASKS
from services.orchestrator.domain.paid_call import Call, Charge
from services.orchestrator.domain.spec import Size
from tests.support.builders import NOON, a_job

ERROR = JobError("VENDOR_DOWN", "Not now.", retryable=True)
FINAL = JobError("CONTENT_REFUSED", "No.", retryable=False)
OUTPUT = VideoOutput("a" * 64, Size(64, 32), 8, 8.0, 1000, 99)
FACTS = AttemptFacts(remote=False, has_task=False, partial_charge_micros=250)
REMOTE = replace(FACTS, remote=True)
FALLBACK = Rerouted("other-model", "other", 900, "test-model", ERROR)
UNFINISHED = [Refused(FINAL), TemporarilyUnavailable(ERROR), ReferenceTaken(), Stopped(), TimedOut(), Broke(FINAL)]


def a_running_job(**changes: object) -> Job:
    return replace(a_job(), **({"state": State.RUNNING, "attempt": 1} | changes))  # type: ignore[arg-type]


def test_a_video_succeeds_for_its_price() -> None:
    assert final_event(Made(OUTPUT), a_running_job(), FACTS, NOON) == Succeeded(OUTPUT, charged_micros=1000)


def test_a_video_succeeds_even_if_a_stop_was_requested() -> None:
    job = a_running_job(state=State.CANCELLING)
    assert isinstance(final_event(Made(OUTPUT), job, FACTS, NOON), Succeeded)


@pytest.mark.parametrize("outcome", [Refused(FINAL), Broke(FINAL)], ids=["refused", "broke"])
def test_a_refusal_or_a_fault_fails_the_job_for_free(outcome: Ending) -> None:
    assert final_event(outcome, a_running_job(), FACTS, NOON) == Failed(FINAL, charged_micros=0)


def test_a_refusal_charges_what_a_prompt_cost_within_its_allowance() -> None:
    job = a_running_job(price_micros=900)
    assert final_event(Refused(FINAL, spent_micros=300), job, FACTS, NOON) == Failed(FINAL, charged_micros=100)


def test_an_outage_is_retried_after_a_wait() -> None:
    event = final_event(TemporarilyUnavailable(ERROR, wait_s=7), a_running_job(), FACTS, NOON)
    assert event == Retrying(ERROR, NOON + timedelta(seconds=7))


def test_an_outage_whose_retry_would_pass_the_deadline_fails_the_job() -> None:
    event = final_event(TemporarilyUnavailable(ERROR), a_running_job(), FACTS, NOON + timedelta(minutes=1))
    assert isinstance(event, Failed) and event.error.reason == "VENDOR_DOWN"


def test_an_outage_of_a_job_that_must_stop_cancels_it_for_what_was_made() -> None:
    job = a_running_job(state=State.CANCELLING)
    assert final_event(TemporarilyUnavailable(ERROR), job, FACTS, NOON) == Cancelled(charged_micros=250)


@pytest.mark.parametrize(
    ("facts", "call", "requeued"),
    [(FACTS, Call.NONE, False), (REMOTE, Call.NONE, True), (REMOTE, Call.ACCEPTED, False)],
    ids=["own", "remote", "attached"],
)
def test_a_retry_gives_its_slot_back_only_if_a_vendor_has_no_task(
    facts: AttemptFacts, call: Call, requeued: bool
) -> None:
    event = final_event(TemporarilyUnavailable(ERROR), a_running_job(call=call), facts, NOON)
    assert isinstance(event, Retrying) and event.requeued is requeued


def test_a_stop_charges_what_was_made() -> None:
    job = a_running_job(state=State.CANCELLING)
    assert final_event(Stopped(), job, FACTS, NOON) == Cancelled(charged_micros=250)


def test_a_deadline_fails_the_job_with_its_time() -> None:
    event = final_event(TimedOut(), a_running_job(), FACTS, NOON)
    assert isinstance(event, Failed) and event.error.reason == "DEADLINE_EXCEEDED"
    assert "12:01:00 UTC" in event.error.message and event.error.retryable and not event.error.resumable


def test_a_deadline_of_a_job_whose_task_a_vendor_has_can_be_resumed() -> None:
    event = final_event(TimedOut(), a_running_job(call=Call.ACCEPTED), REMOTE, NOON)
    assert isinstance(event, Failed) and event.error.resumable and event.charged_micros == 1000


@pytest.mark.parametrize("outcome", UNFINISHED, ids=lambda each: type(each).__name__)
def test_a_submission_without_an_answer_is_reconciled_however_the_work_ended(outcome: Ending) -> None:
    assert isinstance(final_event(outcome, a_running_job(call=Call.SUBMITTING), REMOTE, NOON), Reconciling)


def test_a_task_of_another_job_is_reconciled_with_its_own_reason() -> None:
    event = final_event(ReferenceTaken(), a_running_job(call=Call.SUBMITTING), REMOTE, NOON)
    assert isinstance(event, Reconciling) and event.error.reason == "REFERENCE_TAKEN"


def test_a_failed_task_that_the_vendor_charged_is_charged() -> None:
    outcome = PaidTaskFailed(ERROR, Charge.CHARGED)
    assert final_event(outcome, a_running_job(call=Call.ACCEPTED), REMOTE, NOON) == Failed(ERROR, charged_micros=1000)


def test_a_failed_task_that_cost_nothing_is_retried_as_the_vendor_asks() -> None:
    outcome = PaidTaskFailed(ERROR, Charge.NOT_CHARGED, wait_s=9)
    event = final_event(outcome, a_running_job(), REMOTE, NOON)
    assert event == Retrying(ERROR, NOON + timedelta(seconds=9), requeued=True)


@pytest.mark.parametrize(
    ("error", "charge", "attempt"),
    [(FINAL, Charge.NOT_CHARGED, 1), (ERROR, Charge.UNKNOWN, 1), (ERROR, Charge.NOT_CHARGED, TASKS)],
    ids=["not retryable", "perhaps charged", "often enough"],
)
def test_a_failed_task_is_not_always_bought_again(error: JobError, charge: Charge, attempt: int) -> None:
    facts = replace(REMOTE, has_task=True)
    event = final_event(PaidTaskFailed(error, charge), a_running_job(attempt=attempt), facts, NOON)
    assert isinstance(event, Failed) and event.error.reason == error.reason


def test_a_submission_that_no_vendor_took_is_retried_however_often() -> None:
    outcome = PaidTaskFailed(ERROR, Charge.NOT_CHARGED)
    assert isinstance(final_event(outcome, a_running_job(attempt=TASKS), REMOTE, NOON), Retrying)


def test_another_model_takes_over_if_there_is_one() -> None:
    facts = replace(REMOTE, fallback=FALLBACK)
    assert final_event(TemporarilyUnavailable(ERROR), a_running_job(), facts, NOON) == FALLBACK


@pytest.mark.parametrize(
    ("change", "event"),
    [({"state": State.CANCELLING}, Cancelled), ({"call": Call.ACCEPTED}, Retrying), ({"resumes": "1" * 32}, Failed)],
    ids=["must stop", "has a task", "resumes another"],
)
def test_another_model_does_not_take_over_what_may_be_paid_for_or_must_stop(
    change: dict[str, object], event: type
) -> None:
    facts = replace(REMOTE, fallback=FALLBACK)
    assert isinstance(final_event(TemporarilyUnavailable(ERROR), a_running_job(**change), facts, NOON), event)


@pytest.mark.parametrize(
    "outcome",
    [Refused(ERROR), TemporarilyUnavailable(ERROR), PaidTaskFailed(ERROR, Charge.NOT_CHARGED)],
    ids=lambda each: type(each).__name__,
)
def test_an_error_of_the_vendor_lets_another_model_try(outcome: Ending) -> None:
    assert rerouting_error(outcome) == ERROR


@pytest.mark.parametrize(
    "outcome",
    [
        Made(OUTPUT),
        Refused(FINAL),
        PaidTaskFailed(ERROR, Charge.UNKNOWN),
        PaidTaskFailed(ERROR, Charge.CHARGED),
        Broke(ERROR),
        Stopped(),
        TimedOut(),
        ReferenceTaken(),
    ],
    ids=repr,
)
def test_nothing_else_lets_another_model_try(outcome: Ending) -> None:
    assert rerouting_error(outcome) is None
