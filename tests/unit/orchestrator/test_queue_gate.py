"""Which jobs are refused before they enter a queue, and how rarely the queues are read for it."""

import asyncio
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from services.errors import LimitReached, PreconditionFailed, Unavailable
from services.orchestrator.admission.queue_forecasts import LONG, QueueForecasts
from services.orchestrator.admission.queue_gate import QueueGate
from services.orchestrator.domain.queue_forecast import QueueSnapshot, RunningJob, WaitingLine
from services.orchestrator.domain.run_rates import RunRates, variant
from services.orchestrator.domain.turns import TenantShare
from services.orchestrator.metrics import PrometheusMeter
from services.reasons import RequestReason, ServiceReason
from tests.support.builders import NOON, a_caller, a_job
from tests.support.memory_queues import MemoryQueues

JOB, CALLER = a_job(), a_caller()
KIND = variant(JOB.spec)


def a_snapshot(waiting: int, *, slots: int = 1, run_s: float | None = 10.0) -> QueueSnapshot:
    line = WaitingLine(TenantShare("studio"), [f"{n}" for n in range(waiting)], [KIND] * waiting, [1000] * waiting)
    running = [RunningJob(f"r{n}", line.share, KIND, 1000, NOON) for n in range(slots)] if waiting else []
    rates = RunRates({} if run_s is None else {KIND: run_s})
    return QueueSnapshot(NOON, slots, [line] if waiting else [], running, rates)


def a_gate(queues: MemoryQueues, *, of_backend: int = 1000, of_all: int = 1000, renewed_s: float = 1.0) -> QueueGate:
    meter = PrometheusMeter(CollectorRegistry())
    forecasts = QueueForecasts(queues, meter)
    return QueueGate(queues, forecasts, meter, most_of_backend=of_backend, most_of_all=of_all, renewed_s=renewed_s)


async def let_others_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_job_is_admitted_while_there_is_room_and_time() -> None:
    await a_gate(MemoryQueues(a_snapshot(3))).check(JOB, CALLER, "test")


@pytest.mark.parametrize(("of_backend", "of_all", "whose"), [(5, 1000, "test-model"), (1000, 7, "all workers")])
async def test_a_full_queue_refuses_with_the_expected_wait(of_backend: int, of_all: int, whose: str) -> None:
    gate = a_gate(MemoryQueues(a_snapshot(5), others=2), of_backend=of_backend, of_all=of_all)
    with pytest.raises(LimitReached, match=whose) as refused:
        await gate.check(JOB, CALLER, "test")
    assert refused.value.reason is RequestReason.QUEUE_LIMIT_REACHED
    assert refused.value.metadata["expected_wait_s"] == "60"
    assert refused.value.metadata["limit"] == str(min(of_backend, of_all))
    assert refused.value.metadata["expected_end_time"] == "2026-11-21T12:01:10+00:00"
    assert refused.value.retry_after_s in (10.0, 1.0)  # until one job has begun; for all workers it is not known


async def test_a_full_queue_of_unknown_speed_refuses_too() -> None:
    with pytest.raises(LimitReached) as refused:
        await a_gate(MemoryQueues(a_snapshot(5, run_s=None)), of_backend=5).check(JOB, CALLER, "test")
    assert "expected_wait_s" not in refused.value.metadata and refused.value.retry_after_s == 1.0


async def test_jobs_are_counted_once_a_second_and_those_admitted_meanwhile_are_added() -> None:
    queues = MemoryQueues(a_snapshot(3))
    gate = a_gate(queues, of_backend=5)
    await asyncio.gather(*(gate.check(JOB, CALLER, "test") for _ in range(50)))
    gate.admitted("test")
    await gate.check(JOB, CALLER, "test")
    gate.admitted("test")
    with pytest.raises(LimitReached):
        await gate.check(JOB, CALLER, "test")
    assert (queues.counts, queues.snapshots) == (1, 1)


async def test_no_job_waits_for_a_count_while_the_one_before_is_recent() -> None:
    queues = MemoryQueues(a_snapshot(3))
    gate = a_gate(queues, of_backend=5, renewed_s=0.0)
    await gate.check(JOB, CALLER, "test")
    queues.countable.clear()
    async with asyncio.timeout(5):
        await gate.check(JOB, CALLER, "test")
    await let_others_run()
    assert queues.counts == 2  # the next count is under way
    gate.admitted("test")
    queues.queue = a_snapshot(4)
    queues.countable.set()
    await let_others_run()
    assert (await gate.waiting())["test"] == 5  # counted, and admitted meanwhile


async def test_a_count_that_fails_is_made_again() -> None:
    queues = MemoryQueues(a_snapshot(3), error=Unavailable(reason=ServiceReason.DATABASE_UNAVAILABLE))
    gate = a_gate(queues)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await gate.check(JOB, CALLER, "test")
    queues.error = None
    await gate.check(JOB, CALLER, "test")
    assert queues.counts == 3


async def test_a_deadline_that_cannot_be_met_even_if_all_goes_well_is_refused() -> None:
    gate = a_gate(MemoryQueues(a_snapshot(100)))  # a new job ends after 1020 s; a job has 60 s
    with pytest.raises(PreconditionFailed, match=r"end at 2026-11-21 12:17:00 UTC") as refused:
        await gate.check(JOB, CALLER, "test")
    assert refused.value.reason is RequestReason.DEADLINE_UNREACHABLE
    assert refused.value.metadata["expected_end_time"] == "2026-11-21T12:17:00+00:00"
    assert refused.value.metadata["expire_time"] == JOB.expire_time.isoformat()
    await gate.check(replace(JOB, expire_time=NOON + timedelta(seconds=511)), CALLER, "test")  # perhaps in time
    await gate.check(JOB, replace(CALLER, tenant="story"), "test")  # its first job is next


async def test_a_start_timeout_that_cannot_be_met_is_refused() -> None:
    gate = a_gate(MemoryQueues(a_snapshot(5)))  # a new job starts after 60 s
    with pytest.raises(PreconditionFailed, match="start timeout"):
        await gate.check(replace(JOB, spec=replace(JOB.spec, start_timeout_ms=29_000)), CALLER, "test")
    await gate.check(replace(JOB, spec=replace(JOB.spec, start_timeout_ms=31_000)), CALLER, "test")


async def test_nothing_is_refused_for_its_deadline_while_nothing_is_known() -> None:
    await a_gate(MemoryQueues(a_snapshot(100, run_s=None))).check(JOB, CALLER, "test")
    await a_gate(MemoryQueues(a_snapshot(0, slots=0))).check(JOB, CALLER, "test")


async def test_a_forecast_is_computed_once_for_all_who_ask() -> None:
    queues = MemoryQueues(a_snapshot(3))
    forecasts = QueueForecasts(queues, PrometheusMeter(CollectorRegistry()))
    found = await asyncio.gather(*(forecasts.expected(["0", "2", "none"]) for _ in range(100)))
    assert {job_id: each.place for job_id, each in found[-1].items()} == {"0": 1, "2": 3}
    assert queues.snapshots == 1


async def test_a_failure_is_told_to_all_who_wait_and_the_next_one_tries_again() -> None:
    queues = MemoryQueues(a_snapshot(3), error=Unavailable(reason=ServiceReason.DATABASE_UNAVAILABLE))
    forecasts = QueueForecasts(queues, PrometheusMeter(CollectorRegistry()))
    results = await asyncio.gather(*(forecasts.fresh("test") for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in results] == [Unavailable] * 3
    queues.error = None
    assert (await forecasts.fresh("test")).length == 3


async def test_an_old_forecast_is_used_while_the_next_one_is_made() -> None:
    queues = MemoryQueues(a_snapshot(3))
    forecasts = QueueForecasts(queues, PrometheusMeter(CollectorRegistry()), pause_s=0.0, share=math.inf)
    assert (await forecasts.recent("test")).length == 3
    queues.queue = a_snapshot(1)
    assert (await forecasts.recent("test")).length == 3
    await queues.read_twice.wait()
    assert queues.snapshots == 2


async def test_a_forecast_that_takes_long_is_renewed_before_an_admission_has_to_wait_for_it() -> None:
    queues = MemoryQueues(a_snapshot(3))
    forecasts = QueueForecasts(queues, PrometheusMeter(CollectorRegistry()), pause_s=100.0, recent_s=1.5)
    await forecasts.recent("test")
    queues.queue = a_snapshot(1)
    async with asyncio.timeout(5):
        while queues.snapshots < 2:
            assert (await forecasts.recent("test")).length == 3
            await asyncio.sleep(0.02)


class Watched(list[str]):
    """Ids of jobs, and the time after which threads switch while they are read."""

    def __init__(self, ids: Iterable[str]) -> None:
        super().__init__(ids)
        self.intervals_s: set[float] = set()

    def __iter__(self) -> Iterator[str]:
        self.intervals_s.add(sys.getswitchinterval())
        return super().__iter__()


async def test_calls_wait_for_the_thread_of_a_long_forecast_for_less_than_a_millisecond_at_a_time() -> None:
    before, number = sys.getswitchinterval(), LONG + 1
    ids = Watched(f"{n}" for n in range(number))
    long = WaitingLine(TenantShare("studio"), ids, [KIND] * number, [1000] * number)
    queues = MemoryQueues(replace(a_snapshot(0), waiting=[long]))
    forecasts = QueueForecasts(queues, PrometheusMeter(CollectorRegistry()))
    await asyncio.gather(*(forecasts.fresh(name) for name in ("test", "other")))
    assert ids.intervals_s and max(ids.intervals_s) < 0.001
    assert sys.getswitchinterval() == before
