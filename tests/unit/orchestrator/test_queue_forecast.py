"""When waiting jobs are expected to begin and end."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.queue_forecast import (
    Forecast,
    QueueSnapshot,
    RunningJob,
    WaitingLine,
    forecast,
)
from services.orchestrator.domain.run_rates import RunRates, variant
from services.orchestrator.domain.spec import Size
from services.orchestrator.domain.turns import TenantShare, Turns
from tests.support.builders import NOON, a_spec

A, B, C = TenantShare("a"), TenantShare("b"), TenantShare("c")
KIND = "test-model quality 64x32"
RATES = RunRates({KIND: 10.0})


def a_line(share: TenantShare, count: int) -> WaitingLine:
    return WaitingLine(share, [f"{share.tenant}{index}" for index in range(count)], [KIND] * count, [1000] * count)


def running(count: int, share: TenantShare = A, ago_s: float = 0.0) -> list[RunningJob]:
    begun = NOON - timedelta(seconds=ago_s)
    return [RunningJob(f"run{index}", share, KIND, 1000, begun) for index in range(count)]


def starts(found: Forecast, *job_ids: str) -> list[float | None]:
    expected = [found.of(job_id) for job_id in job_ids]
    return [each and each.start_time and (each.start_time - NOON).total_seconds() for each in expected]


def test_jobs_begin_when_the_ones_before_them_end() -> None:
    found = forecast(QueueSnapshot(NOON, 2, [a_line(A, 4)], running(2, ago_s=4), RATES))
    assert starts(found, "a0", "a1", "a2", "a3") == [6.0, 6.0, 16.0, 16.0]
    last = found.of("a3")
    assert last is not None and last.place == 4 and last.end_time == NOON + timedelta(seconds=26)
    now = found.of("run0")
    assert now is not None and (now.place, now.start_time) == (0, None)
    assert now.end_time == NOON + timedelta(seconds=6)


def test_a_job_that_runs_longer_than_expected_is_expected_soon() -> None:
    found = forecast(QueueSnapshot(NOON, 1, [a_line(A, 1)], running(1, ago_s=500), RATES))
    assert starts(found, "a0") == [1.0]


def test_tenants_take_turns_by_weight_and_priority() -> None:
    lines = [a_line(A, 3), a_line(TenantShare("w", 0, 3), 3), a_line(TenantShare("u", 1), 1)]
    found = forecast(QueueSnapshot(NOON, 1, lines, (), RATES))
    places = {job_id: found.of(job_id).place for line in lines for job_id in line.job_ids}  # type: ignore[union-attr]
    assert sorted(places, key=places.__getitem__) == ["u0", "a0", "w0", "w1", "w2", "a1", "a2"]


def test_a_tenant_without_slots_is_before_one_that_has_some() -> None:
    found = forecast(QueueSnapshot(NOON, 4, [a_line(A, 10_000), a_line(B, 1)], running(4), RATES))
    assert starts(found, "b0", "a9999") == [10.0, 25_010.0]


def test_a_new_job_follows_those_of_its_tenant_and_takes_its_turn_among_others() -> None:
    found = forecast(QueueSnapshot(NOON, 1, [a_line(A, 100), a_line(B, 1)], running(1), RATES))

    def wait_s(share: TenantShare) -> float:
        expected = found.of_new(share, KIND, 2000)
        assert expected.start_time is not None and expected.end_time == expected.start_time + timedelta(seconds=20)
        return (expected.start_time - NOON).total_seconds()

    assert [wait_s(C), wait_s(A), wait_s(TenantShare("c", 1)), wait_s(TenantShare("c", -1))] == [10, 1020, 10, 50]
    assert wait_s(B) <= 30
    assert found.of_new(A, KIND, 1000).place == 102


def test_an_empty_queue_with_a_free_slot_has_no_wait() -> None:
    found = forecast(QueueSnapshot(NOON, 1, rates=RATES))
    assert (found.of_new(A, KIND, 1000).place, found.of_new(A, KIND, 1000).start_time) == (1, NOON)


@pytest.mark.parametrize(("slots", "rates"), [(0, RATES), (3, RunRates())])
def test_without_workers_or_measurements_only_places_are_known(slots: int, rates: RunRates) -> None:
    found = forecast(QueueSnapshot(NOON, slots, [a_line(A, 2)], (), rates))
    expected = found.of("a1")
    assert expected is not None and (expected.place, expected.start_time, expected.end_time) == (2, None, None)
    assert found.of_new(B, KIND, 1000).start_time is None and found.room_s(1) is None


def test_a_limit_of_starts_a_minute_delays_jobs() -> None:
    found = forecast(QueueSnapshot(NOON, 100, [a_line(A, 5)], (), RATES, per_minute=2))
    assert starts(found, "a0", "a1", "a2", "a3", "a4") == [0.0, 0.0, 60.0, 60.0, 120.0]
    found = forecast(QueueSnapshot(NOON, 100, [a_line(A, 2)], running(2, ago_s=45), RATES, per_minute=2))
    assert starts(found, "a0", "a1") == [15.0, 15.0]


def test_jobs_that_are_submitted_later_delay_those_of_other_tenants_and_not_their_own() -> None:
    alone = forecast(QueueSnapshot(NOON, 1, [a_line(A, 20)], (), RATES))
    busy = forecast(QueueSnapshot(NOON, 1, [a_line(A, 20)], (), RATES, arrivals={B: 0.05, A: 1.0}))
    first, last = starts(busy, "a0", "a19")
    assert first == 0.0 and starts(alone, "a19") == [190.0]
    assert last is not None and 350 <= last <= 390  # of B as many jobs as come: one in 20 seconds


def test_later_jobs_without_end_do_not_keep_a_forecast_from_its_end() -> None:
    rates = {TenantShare(f"t{number}", 1): 1000.0 for number in range(50)}
    found = forecast(QueueSnapshot(NOON, 1, [a_line(A, 3)], (), RATES, arrivals=rates))
    assert found.of("a2") is not None


def test_room_is_expected_when_enough_jobs_have_begun() -> None:
    found = forecast(QueueSnapshot(NOON, 1, [a_line(A, 5)], running(1), RATES))
    assert [found.room_s(most) for most in (6, 5, 3)] == [None, 10.0, 30.0]


def test_jobs_without_a_measurement_have_the_mean_of_their_model_or_of_the_backend() -> None:
    rates = RunRates({"m quality 1x1": 2.0, "m fast 1x1": 4.0, "n": 30.0})
    assert [rates.run_s(kind, 500) for kind in ("m fast 1x1", "m quality 2x2", "other")] == [2.0, 1.5, 6.0]


def test_a_variant_is_what_runs_equally_long() -> None:
    spec = a_spec(quality="quality", size=Size(64, 32))
    assert variant(spec) == KIND
    assert variant(a_spec(quality="quality", resolution="720p")) == "test-model quality 720p"
    assert variant(a_spec()) == "test-model"


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(-1, 1), st.integers(1, 5)), max_size=5), st.integers(1, 4))
def test_a_forecast_has_the_order_that_workers_take(lines: list[tuple[int, int, int]], slots: int) -> None:
    waiting = [
        a_line(TenantShare(f"t{index}-", priority, weight), count)
        for index, (count, priority, weight) in enumerate(lines)
    ]
    found = forecast(QueueSnapshot(NOON, slots, waiting, (), RunRates({KIND: 1.0})))
    left = {line.share: list(line.job_ids) for line in waiting}
    turns, order = Turns(), []
    while left:
        turns.update(left)
        turn = turns.next(left)
        order.append(left[turn.share].pop(0))
        if not left[turn.share]:
            del left[turn.share]
    by_tenant: dict[str, list[str]] = {}
    places = [found.of(job_id) for job_id in order]
    assert sorted(each.place for each in places if each) == list(range(1, len(order) + 1))
    for job_id, expected in zip(order, places, strict=True):
        by_tenant.setdefault(job_id.partition("-")[0], []).append(job_id)
        # Ties are broken in another way, so that a job may be some turns of the other tenants away.
        assert expected is not None and abs(expected.place - 1 - order.index(job_id)) <= 5 * len(lines)
        assert expected.end_time is not None
