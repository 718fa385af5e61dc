"""When the use of a limit is warned of, and how often."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.errors import QuotaExceeded
from services.orchestrator.domain import next_event
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Jobs, Measure, UnfinishedJobs
from services.orchestrator.domain.limits.warning import CounterWarning, UsageWarning
from services.orchestrator.domain.plan import Plan
from services.orchestrator.ports.admissions import NewJob
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, FakeClock, numbered


def a_caller(most: int | None, measure: Measure | None = None, user: str = "ann") -> Caller:
    measure = measure or Jobs()
    per = Per.AT_A_TIME if measure.at_a_time else Per.DAY
    return Caller("studio", user, Plan("small", (Limit(measure, Subject.USER, per, most),)))


async def admit(store: PostgresStore, caller: Caller, *numbers: int, clock: FakeClock | None = None) -> list[Job]:
    time = clock.time if clock else NOON
    jobs = [numbered(number, user=caller.user, create_time=time) for number in numbers]
    return [await store.admissions.admit(job, "fingerprint", caller, "test") for job in jobs]


async def warned(store: PostgresStore) -> list[int]:
    return [each.threshold for each in await store.usage_warnings.take()]


async def test_each_threshold_is_warned_of_when_it_is_reached_and_once_a_period(
    store: PostgresStore, clock: FakeClock
) -> None:
    caller = a_caller(10)
    jobs = await admit(store, caller, *range(7))
    assert await warned(store) == []
    await admit(store, caller, 7)
    day = NOON.date().isoformat()
    assert await store.usage_warnings.take() == [CounterWarning("studio", "user:ann", "jobs", day, 80)]
    await admit(store, caller, 8, 9)
    assert await warned(store) == [90, 100]
    await store.jobs.record(jobs[0].id, next_event.cancel)
    await admit(store, caller, 10)  # the tenth place is taken again
    assert await warned(store) == []
    clock.time = NOON + timedelta(days=1)
    await admit(store, caller, *range(11, 19), clock=clock)
    assert await warned(store) == [80]


async def test_limits_at_a_time_warn_at_most_once_an_hour(store: PostgresStore, clock: FakeClock) -> None:
    caller = a_caller(1, UnfinishedJobs())
    for minutes, expected in ((0, [80, 90, 100]), (59, []), (60, [80, 90, 100])):
        clock.time = NOON + timedelta(minutes=minutes)
        [job] = await admit(store, caller, minutes, clock=clock)
        assert await warned(store) == expected
        await store.jobs.record(job.id, next_event.cancel)
    [limit, *_] = await store.counters.status(caller)
    assert limit.warnings == tuple(UsageWarning(percent, clock.time) for percent in (80, 90, 100))
    clock.advance(3600)
    [limit, *_] = await store.counters.status(caller)
    assert limit.warnings == ()


async def test_the_state_of_a_limit_has_the_warnings_of_its_period(store: PostgresStore, clock: FakeClock) -> None:
    caller = a_caller(10)
    await admit(store, caller, *range(9))
    [limit, *others] = await store.counters.status(caller)
    assert limit.warnings == (UsageWarning(80, NOON), UsageWarning(90, NOON))
    assert all(each.warnings == () for each in others)
    clock.advance(7200)
    assert (await store.counters.status(caller))[0].warnings == limit.warnings
    clock.time = NOON + timedelta(days=1)
    assert (await store.counters.status(caller))[0].warnings == ()


async def test_a_refused_job_and_one_without_a_limit_warn_of_nothing(store: PostgresStore) -> None:
    with pytest.raises(QuotaExceeded):
        await admit(store, a_caller(0), 1)
    await admit(store, a_caller(None), *range(2, 5))
    assert await warned(store) == []


async def test_a_smaller_plan_warns_with_the_next_job_and_a_credit_makes_the_share_smaller(
    store: PostgresStore,
) -> None:
    await admit(store, a_caller(100), *range(8))
    await admit(store, a_caller(10), 8)
    assert await warned(store) == [80, 90]
    async with store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE counters SET credit = 10 WHERE measure = 'jobs'"))
    await admit(store, a_caller(10), 9)
    assert await warned(store) == []


async def test_of_many_jobs_that_pass_a_threshold_together_one_warns_and_one_process_takes_it(
    store: PostgresStore,
) -> None:
    caller = a_caller(20)
    await asyncio.gather(*(admit(store, caller, number) for number in range(40)), return_exceptions=True)
    found = await asyncio.gather(*(warned(store) for _ in range(8)))
    assert sorted(percent for each in found for percent in each) == [80, 90, 100]


async def test_a_limit_as_large_as_they_get_does_not_overflow(store: PostgresStore) -> None:
    await admit(store, a_caller(2**53), 1)
    assert await warned(store) == []


async def test_a_batch_warns_of_what_its_jobs_reach_together(store: PostgresStore) -> None:
    caller = a_caller(10)
    jobs = [NewJob(numbered(number), "fingerprint", "test") for number in range(9)]
    await store.admissions.admit_all(jobs, caller)
    assert await warned(store) == [80, 90]
