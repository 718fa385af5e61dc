"""What each kind of limit counts of a job."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.job import State
from services.orchestrator.domain.limits.measure import (
    KINDS,
    Demand,
    Jobs,
    Measure,
    QueuedJobs,
    Spend,
    StoredBytes,
    UnfinishedJobs,
    VideoSeconds,
    measure_of,
)
from tests.support.builders import a_job

DEMAND = Demand(quote_micros=500, duration_ms=4000, operation="image-to-video", models=("nano",), capability="wan-2.5")
EVERY: list[Measure] = [
    Spend(),
    Jobs(),
    Jobs(operation="image-to-video"),
    Jobs(model="nano"),
    Jobs(capability="wan-2.5"),
    Jobs(operation="image-to-video", model="nano"),
    VideoSeconds(),
    UnfinishedJobs(),
    QueuedJobs(),
    StoredBytes(),
]


@pytest.mark.parametrize("measure", EVERY, ids=lambda each: each.key)
def test_a_measure_is_found_by_its_key(measure: Measure) -> None:
    assert measure_of(measure.key) == measure
    assert measure.kind in KINDS


@pytest.mark.parametrize("key", ["", "luck", "jobs:luck=1", "spend:model=nano"])
def test_another_key_is_refused(key: str) -> None:
    with pytest.raises((KeyError, TypeError)):
        measure_of(key)


@pytest.mark.parametrize(
    ("measure", "asked"),
    [
        (Spend(), 500),
        (Jobs(), 1),
        (Jobs(operation="text-to-video"), None),
        (Jobs(operation="image-to-video", model="nano"), 1),
        (Jobs(operation="image-to-video", model="other"), None),
        (Jobs(capability="kling"), None),
        (VideoSeconds(), 4000),
        (UnfinishedJobs(), 1),
        (QueuedJobs(), 1),
        (StoredBytes(), None),
    ],
)
def test_a_new_job_asks_for_its_own_amount(measure: Measure, asked: int | None) -> None:
    assert measure.asked(DEMAND) == asked


def test_a_resumed_job_counts_as_unfinished_and_queued_but_not_as_new_work() -> None:
    resumed = replace(DEMAND, quote_micros=0, resumes=True)
    counted = {measure.key for measure in EVERY if measure.asked(resumed) is not None}
    assert counted == {"spend", "unfinished", "queued"}


@given(
    measure=st.sampled_from(EVERY),
    held=st.integers(0, 10**9),
    state=st.sampled_from([State.SUCCEEDED, State.FAILED, State.CANCELLED]),
    quote=st.integers(0, 10**9),
    share=st.floats(0, 1),
)
def test_an_ended_job_has_used_at_most_what_was_held(
    measure: Measure, held: int, state: State, quote: int, share: float
) -> None:
    job = a_job(state=state, quote_micros=quote, price_micros=quote, charged_micros=int(quote * share))
    assert 0 <= measure.used(held, job) <= held


@pytest.mark.parametrize(
    ("state", "charged", "jobs", "video_ms"),
    [
        (State.SUCCEEDED, 1000, 1, 4000),
        (State.SUCCEEDED, 0, 1, 4000),
        (State.CANCELLED, 250, 1, 1000),
        (State.FAILED, 1, 1, 4),
        (State.FAILED, 0, 0, 0),
        (State.CANCELLED, 0, 0, 0),
    ],
)
def test_a_job_counts_if_it_made_a_video_or_cost_something(
    state: State, charged: int, jobs: int, video_ms: int
) -> None:
    job = a_job(state=state, charged_micros=charged)
    assert (Jobs().used(1, job), VideoSeconds().used(4000, job)) == (jobs, video_ms)
