"""The last event of an ended job is in the job itself."""

import pytest

from services.orchestrator.domain import next_event
from services.orchestrator.domain.event import Event, Started
from services.orchestrator.domain.final_event import final_event
from services.orchestrator.domain.job import State
from services.orchestrator.domain.job_transitions import apply
from tests.support.builders import NOON, an_admitted_job
from tests.support.old_jobs import end_of


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
def test_the_last_event_that_is_made_from_a_job_is_the_one_that_was_recorded(state: State) -> None:
    job = an_admitted_job()
    if state is State.SUCCEEDED:
        job = apply(job, Event(2, NOON, Started(1)))
    last = Event(job.last_sequence + 1, NOON, end_of(state))
    assert final_event(apply(job, last)) == last


def test_a_job_that_has_not_ended_has_no_last_event() -> None:
    with pytest.raises(ValueError, match="has not ended"):
        final_event(apply(an_admitted_job(), Event(2, NOON, next_event.start(an_admitted_job()))))  # type: ignore[arg-type]
