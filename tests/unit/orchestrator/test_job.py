"""The life of a job: whatever happens in whatever order, it is refused or done, and the invariants hold."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain import next_event
from services.orchestrator.domain.attempt_guard import Superseded, guard
from services.orchestrator.domain.event import (
    Accepted,
    Admitted,
    Body,
    Cancelled,
    CancelRequested,
    Continued,
    Event,
    Failed,
    FragmentReady,
    JobError,
    Progressed,
    Reconciling,
    Released,
    Rerouted,
    Resumed,
    Retrying,
    Started,
    Submitting,
    Succeeded,
    VideoOutput,
)
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.job_transitions import IllegalEvent, apply
from services.orchestrator.domain.paid_call import Call
from services.orchestrator.domain.spec import Size
from services.reasons import JobReason
from tests.support.builders import NOON, an_admitted_job

ERROR = JobError("ENGINE_BUSY", "busy", retryable=True)
OUTPUT = VideoOutput("f" * 64, Size(64, 32), 8, 8.0, 1000, 99)

BODIES = st.one_of(
    st.builds(Started, st.integers(0, 3)),
    st.builds(Continued, st.integers(1, 9), st.floats(0, 1)),
    st.builds(Progressed, st.just("generate"), st.floats(0, 1)),
    st.builds(FragmentReady, st.integers(0, 9), st.just("a" * 64), st.just(4), st.just(9), st.floats(0, 1)),
    st.just(CancelRequested()),
    st.just(Retrying(ERROR, NOON)),
    st.just(Retrying(ERROR, NOON, requeued=True)),
    st.builds(Succeeded, st.just(OUTPUT), st.integers(-1, 1001)),
    st.builds(Failed, st.just(ERROR), st.integers(-1, 1001)),
    st.builds(Cancelled, st.integers(-1, 1001)),
    st.just(Admitted(1000)),
    st.just(Submitting("vendor")),
    st.just(Accepted("vendor")),
    st.just(Released("vendor", "MODERATION")),
    st.just(Reconciling(ERROR)),
    st.just(Resumed(NOON + timedelta(hours=1))),
    st.builds(Rerouted, st.sampled_from("abc"), st.just("vendor"), st.integers(-1, 1001), st.just("x"), st.just(ERROR)),
)


def after(*bodies: Body) -> Job:
    job = an_admitted_job()
    for body in bodies:
        job = apply(job, Event(job.last_sequence + 1, NOON, body))
    return job


@given(st.lists(BODIES, max_size=12))
def test_any_sequence_of_events_is_refused_or_keeps_the_invariants(bodies: list[Body]) -> None:
    job, taken = an_admitted_job(), 1
    for body in bodies:
        try:
            changed = apply(job, Event(job.last_sequence + 1, NOON, body))
        except IllegalEvent:
            continue
        taken += 1
        assert not job.state.ended, "nothing follows the end"
        assert changed.last_sequence == taken
        assert changed.state.ended == (changed.charged_micros is not None)
        assert changed.charged_micros is None or 0 <= changed.charged_micros <= changed.quote_micros
        assert (changed.state is State.SUCCEEDED) == (changed.output is not None)
        assert (changed.state is State.FAILED) == (changed.error is not None)
        assert changed.attempt in (job.attempt, job.attempt + 1)
        assert not (changed.state.ended and changed.call.live), "who ends has paid, or owes nothing"
        assert changed.call is not Call.CHARGED or (changed.charged_micros or 0) >= changed.price_micros
        assert changed.state is not State.RECONCILING or changed.attempt == job.attempt
        assert changed.progress >= job.progress or isinstance(body, Started | Retrying | Rerouted)
        job = changed


@pytest.mark.parametrize("sequence", [0, 1, 3])
def test_an_event_out_of_sequence_is_refused(sequence: int) -> None:
    with pytest.raises(IllegalEvent):
        apply(an_admitted_job(), Event(sequence, NOON, Started(1)))


def test_the_way_of_a_job_that_succeeds() -> None:
    job = after(Started(1), Progressed("generate", 0.4), Succeeded(OUTPUT, 1000))
    assert repr(job) == f"<Job {'0' * 32} succeeded attempt=1 done 100% #4>"


def test_a_second_attempt_begins_at_nothing_and_keeps_the_first_start() -> None:
    job = after(Started(1), Progressed("generate", 0.4))
    again = apply(job, Event(4, NOON + timedelta(seconds=9), Started(2)))
    assert (again.state, again.attempt, again.progress, again.start_time) == (State.RUNNING, 2, 0.0, NOON)


def test_an_attempt_that_continues_begins_with_what_was_done() -> None:
    job = after(Started(1), Progressed("generate", 0.4), Started(2), Continued(3, 0.3), Progressed("generate", 0.1))
    assert (job.attempt, job.progress) == (2, 0.3)


def test_a_lost_worker_does_not_undo_a_request_to_stop() -> None:
    assert after(Started(1), CancelRequested(), Started(2)).state is State.CANCELLING


def test_what_a_request_to_stop_does() -> None:
    assert next_event.cancel(after()) == Cancelled(0)
    assert next_event.cancel(after(Started(1))) == CancelRequested()
    assert next_event.cancel(after(Started(1), CancelRequested())) is None
    assert next_event.cancel(after(Cancelled(0))) is None
    assert next_event.cancel(after(Started(1), Retrying(ERROR, NOON))) == Cancelled(0)


def test_only_the_current_attempt_may_write() -> None:
    guard(after(Started(1)), 1)
    guard(after(Started(1), CancelRequested()), 1)
    for job, attempt in (
        (after(Started(1), Started(2)), 1),
        (after(Started(1), Retrying(ERROR, NOON)), 1),
        (after(Started(1), Failed(ERROR, 0)), 1),
    ):
        with pytest.raises(Superseded):
            guard(job, attempt)


def test_a_job_that_is_put_back_onto_the_queue_is_begun_by_its_new_entry_alone() -> None:
    job = after(Started(1), Retrying(ERROR, NOON, requeued=True))
    assert job.workflow == f"{job.id}.{job.last_sequence}"
    assert (next_event.start(job, job.workflow), next_event.start(job, job.id)) == (Started(2), None)
    assert next_event.start(after(Started(1), Retrying(ERROR, NOON)), job.id) == Started(2)


def test_a_job_that_has_ended_is_not_begun_again() -> None:
    assert next_event.start(after()) == Started(1)
    assert next_event.start(after(Cancelled(0))) is None


@given(st.lists(BODIES, max_size=20), st.integers(0, 1000))
def test_a_task_is_handed_over_only_when_no_earlier_one_can_cost_money(bodies: list[Body], price: int) -> None:
    job, live = an_admitted_job(price_micros=price), False
    for body in bodies:
        try:
            job = apply(job, Event(job.last_sequence + 1, NOON, body))
        except IllegalEvent:
            continue
        if isinstance(body, Submitting):
            assert not live, "an earlier task may be paid for"
        live = (live or isinstance(body, Submitting)) and not isinstance(body, Released)
        assert not (live and job.state.ended and (job.charged_micros or 0) < price), "paid work is never given back"


HANDED_OVER = (Started(1), Submitting("vendor"))
PAID = (*HANDED_OVER, Accepted("vendor"))
LOST = (*HANDED_OVER, Reconciling(ERROR))


def test_another_model_is_asked_only_when_nothing_can_cost_money() -> None:
    elsewhere = Rerouted("other", "vendor", 900, "test-model", ERROR)
    for before in ((), HANDED_OVER, PAID, LOST, (Started(1), CancelRequested())):
        with pytest.raises(IllegalEvent):
            after(*before, elsewhere)
    job = after(*PAID, Released("vendor", "NO_CREDIT"), elsewhere)
    assert (job.state, job.spec.model, job.price_micros, job.quote_micros) == (State.QUEUED, "other", 900, 1000)
    assert (job.tried, job.workflow) == (("test-model",), f"{job.id}.6")
    for again in ("test-model", "other"):
        with pytest.raises(IllegalEvent):
            apply(apply(job, Event(7, NOON, Started(2))), Event(8, NOON, Rerouted(again, "v", 1, "other", ERROR)))


def test_a_submission_that_was_under_way_is_reconciled_not_repeated() -> None:
    begun = next_event.start(after(*HANDED_OVER))
    assert isinstance(begun, Reconciling) and begun.error.reason == "ANSWER_LOST"
    assert next_event.start(after(*LOST)) is None
    assert next_event.start(after(*PAID)) == Started(2)
    for body in (Started(2), Submitting("vendor"), Cancelled(0), Failed(ERROR, 999), Progressed("generate", 1)):
        with pytest.raises(IllegalEvent):
            after(*LOST, body)


def test_what_was_found_waits_for_an_attempt_by_a_new_queue_entry() -> None:
    job = after(*LOST, Accepted("vendor"), Resumed(NOON + timedelta(hours=3)))
    assert (job.state, job.call, job.expire_time) == (State.QUEUED, Call.ACCEPTED, NOON + timedelta(hours=3))
    assert job.workflow == f"{job.id}.6"
    assert next_event.start(job, job.id) is None, "the entry of the admission has no say any more"
    assert next_event.start(job, job.workflow) == Started(2)


def test_a_wish_to_stop_outlives_a_lost_answer() -> None:
    lost = after(*HANDED_OVER, CancelRequested(), Reconciling(ERROR))
    assert next_event.settle(after(*LOST), ERROR) == Failed(ERROR, 1000)
    assert next_event.settle(lost, ERROR) == Cancelled(1000), "as somebody says who knows"
    assert apply(lost, Event(6, NOON, Cancelled(1000))).call is Call.CHARGED
    with pytest.raises(IllegalEvent):
        apply(lost, Event(6, NOON, Cancelled(999)))
    absent = apply(lost, Event(6, NOON, Released("vendor", "ANSWER_LOST")))
    assert next_event.settle(absent, ERROR) == Cancelled(0)
    assert apply(absent, Event(7, NOON, Cancelled(0))).state is State.CANCELLED
    found = apply(apply(lost, Event(6, NOON, Accepted("vendor"))), Event(7, NOON, Resumed(NOON + timedelta(hours=3))))
    assert (found.state, next_event.start(found, found.workflow)) == (State.CANCELLING, Started(2))


def test_what_an_attempt_that_cannot_go_on_comes_to() -> None:
    error = JobError("TIMED_OUT", "late", retryable=True, resumable=True)
    assert next_event.fail(after(Started(1)), error) == Failed(JobError("TIMED_OUT", "late", retryable=True), 0)
    assert next_event.fail(after(*PAID), error) == Failed(error, 1000)
    assert isinstance(next_event.fail(after(*HANDED_OVER), error), Reconciling)
    assert next_event.charge(after(*PAID), ERROR) == Failed(ERROR, 1000)
    assert isinstance(next_event.retry_or_fail(NOON, after(*PAID), ERROR), Retrying)
    assert isinstance(next_event.retry_or_fail(NOON, after(*HANDED_OVER), ERROR), Reconciling)
    assert next_event.retry_or_fail(NOON + timedelta(hours=1), after(*PAID), ERROR) == Failed(
        JobError("ENGINE_BUSY", "busy", retryable=True, resumable=True), 1000
    )


def test_a_stop_pays_for_what_a_vendor_is_paid() -> None:
    assert next_event.stopped(after(*PAID, CancelRequested()), 0) == Cancelled(1000)
    assert next_event.stopped(after(*PAID, Released("vendor", "CANCELLED"), CancelRequested()), 0) == Cancelled(0)
    assert isinstance(next_event.stopped(after(*HANDED_OVER, CancelRequested()), 0), Reconciling)
    waiting = after(*PAID, Retrying(ERROR, NOON))
    assert next_event.cancel(waiting) == CancelRequested(), "not for nothing: the vendor is paid"
    assert next_event.cancel(after(*LOST)) is None


def test_the_reaper_leaves_what_is_being_reconciled_and_keeps_what_was_paid() -> None:
    late = NOON + timedelta(hours=9)
    assert next_event.expire(late, after(*LOST), grace_s=0) is None
    assert isinstance(next_event.expire(late, after(*HANDED_OVER), grace_s=0), Reconciling)
    for job in (after(*PAID), after(*PAID, Retrying(ERROR, NOON))):
        end = next_event.expire(late, job, grace_s=0)
        assert isinstance(end, Failed) and (end.charged_micros, end.error.resumable) == (1000, True)


def a_job_with_a_start_timeout(**changes: object) -> Job:
    job = an_admitted_job(**changes)
    return replace(job, spec=replace(job.spec, start_timeout_ms=5000))


def test_a_job_that_has_not_begun_by_its_start_timeout_fails_and_costs_nothing() -> None:
    job, late = a_job_with_a_start_timeout(), NOON + timedelta(seconds=5)
    assert next_event.expire(late - timedelta(seconds=1), job, grace_s=0) is None
    assert next_event.start(job, now=late - timedelta(seconds=1)) == Started(1)
    for end in (next_event.expire(late, job, grace_s=0), next_event.start(job, now=late)):
        assert isinstance(end, Failed) and end.charged_micros == 0
        assert (end.error.reason, end.error.retryable) == (JobReason.START_TIMEOUT, True)


def test_a_start_timeout_does_not_hold_for_a_job_that_has_begun_or_fetches_paid_work() -> None:
    late, job = NOON + timedelta(seconds=30), a_job_with_a_start_timeout()
    waits = apply(apply(job, Event(2, NOON, Started(1))), Event(3, NOON, Retrying(ERROR, NOON)))
    resumed = a_job_with_a_start_timeout(resumes="1" * 32, call=Call.ACCEPTED)
    for each in (waits, resumed):
        assert next_event.expire(late, each, grace_s=0) is None
        assert isinstance(next_event.start(each, now=late), Started)
