"""Which steps of a paid call are recorded, depending on the current state of the job."""

from dataclasses import replace

import pytest

from services.orchestrator.attempt.paid_call_recorder import paid_call_event
from services.orchestrator.domain.attempt_guard import Superseded
from services.orchestrator.domain.event import Accepted, Paid, Released, Submitting
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.paid_call import Call
from tests.support.builders import a_job

STEPS = [Submitting("atlas"), Accepted("atlas"), Released("atlas", "CANCELLED")]


def a_job_in(state: State, call: Call) -> Job:
    return replace(a_job(), state=state, call=call, attempt=2)


@pytest.mark.parametrize(
    ("step", "call", "recorded"),
    [
        (STEPS[0], Call.NONE, True),
        (STEPS[0], Call.SUBMITTING, False),
        (STEPS[1], Call.SUBMITTING, True),
        (STEPS[1], Call.ACCEPTED, False),
        (STEPS[2], Call.SUBMITTING, True),
        (STEPS[2], Call.ACCEPTED, True),
        (STEPS[2], Call.NONE, False),
    ],
)
def test_a_step_is_recorded_once_however_often_it_is_tried(step: Paid, call: Call, recorded: bool) -> None:
    event = paid_call_event(a_job_in(State.RUNNING, call), 2, step)
    assert event == (step if recorded else None)


def test_nothing_is_submitted_for_a_job_that_must_stop() -> None:
    assert paid_call_event(a_job_in(State.CANCELLING, Call.NONE), 2, STEPS[0]) is None


def test_an_answer_is_recorded_even_if_the_job_is_being_reconciled() -> None:
    assert paid_call_event(a_job_in(State.RECONCILING, Call.SUBMITTING), 2, STEPS[1]) == STEPS[1]


def test_nothing_is_submitted_for_a_job_that_is_being_reconciled() -> None:
    with pytest.raises(Superseded):
        paid_call_event(a_job_in(State.RECONCILING, Call.NONE), 2, STEPS[0])


@pytest.mark.parametrize("step", STEPS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(("state", "attempt"), [(State.RUNNING, 1), (State.CANCELLED, 2)], ids=["followed", "ended"])
def test_no_step_is_recorded_for_a_superseded_attempt_or_an_ended_job(step: Paid, state: State, attempt: int) -> None:
    with pytest.raises(Superseded):
        paid_call_event(a_job_in(state, Call.SUBMITTING), attempt, step)
