"""Watches of usage over a real database: the state, changes, warnings, heartbeats, and what they cost."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from i2v.v1 import usage_pb2
from i2v.v1.job_pb2 import LimitStatus

from services.errors import Unavailable
from services.orchestrator.api.usage_feed_registry import UsageFeeds
from services.orchestrator.domain import next_event
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Jobs
from services.orchestrator.domain.plan import Plan
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, FakeClock, numbered

READ_S = 0.02
Watch = AsyncGenerator[usage_pb2.WatchUsageResponse, None]


def a_caller(most: int = 10, user: str = "ann", plan: str = "small") -> Caller:
    return Caller("studio", user, Plan(plan, (Limit(Jobs(), Subject.USER, Per.DAY, most),), display_name="Small"))


async def admit(store: PostgresStore, caller: Caller, *numbers: int) -> None:
    for number in numbers:
        job = numbered(number, user=caller.user)
        await store.admissions.admit(job, "fingerprint", caller, "test")


async def until_warned(watching: Watch, percent: int) -> list[usage_pb2.WatchUsageResponse]:
    """Returns the messages up to the warning of a threshold."""
    seen: list[usage_pb2.WatchUsageResponse] = []
    async for response in watching:
        seen.append(response)
        if response.warning.percent == percent:
            return seen
    raise AssertionError("the watch ended")


def jobs_of(responses: list[usage_pb2.WatchUsageResponse]) -> list[int]:
    """Returns how many jobs each change reports."""
    return [each.change.held for each in responses if each.HasField("change") and each.change.measure == "jobs"]


async def test_the_state_comes_first_and_then_each_change_and_warning(store: PostgresStore) -> None:
    caller, feeds = a_caller(), UsageFeeds(store.counters, read_s=READ_S)
    await admit(store, caller, *range(6))
    async with aclosing(feeds.watch(lambda: caller)) as watching:
        state = (await anext(watching)).state
        assert (state.plan, state.currency_code) == ("small", "USD")
        limit = state.limits[0]
        assert (limit.subject, limit.measure, limit.per, limit.unit) == ("user", "jobs", "day", LimitStatus.JOBS)
        assert (limit.limit, limit.used, limit.held, limit.warned_percent) == (10, 0, 6, 0)
        assert limit.reset_time.seconds == 1795305600  # midnight
        assert not state.limits[1].HasField("limit")
        await admit(store, caller, 6, 7)
        seen = await until_warned(watching, 80)
        assert jobs_of(seen)[-1] == 8
        warning = seen[-1].warning
        assert warning.message == (
            "The user has used 8 of the 10 jobs that the plan Small allows a day (80 %). "
            "It resets at 2026-11-22 00:00 UTC."
        )
        assert (warning.limit.held, warning.limit.warned_percent) == (8, 80)
        assert warning.time.ToDatetime(NOON.tzinfo) == NOON
        await admit(store, caller, 8, 9)
        assert len([each for each in await until_warned(watching, 100) if each.HasField("warning")]) <= 2
    async with aclosing(feeds.watch(lambda: caller)) as later:
        assert (await anext(later)).state.limits[0].warned_percent == 100


async def test_another_user_changes_only_what_the_tenant_has(store: PostgresStore) -> None:
    caller, feeds = a_caller(), UsageFeeds(store.counters, read_s=READ_S)
    async with aclosing(feeds.watch(lambda: caller)) as watching:
        await anext(watching)
        await admit(store, a_caller(user="bob"), 1)
        assert {(await anext(watching)).change.subject for _ in range(2)} == {"tenant"}


async def test_a_new_plan_and_a_new_period_come_as_a_new_state(store: PostgresStore, clock: FakeClock) -> None:
    plans = [a_caller()]
    async with aclosing(UsageFeeds(store.counters, read_s=READ_S).watch(lambda: plans[-1])) as watching:
        await admit(store, plans[-1], 1)
        assert (await anext(watching)).state.limits[0].held == 1
        plans.append(a_caller(1, plan="tiny"))
        state = (await anext(watching)).state
        assert (state.plan, state.limits[0].limit) == ("tiny", 1)
        clock.advance(86_400)
        assert (await anext(watching)).state.limits[0].held == 0


async def test_watchers_of_one_user_share_a_read_and_without_watchers_nothing_is_read(store: PostgresStore) -> None:
    class Counted:
        reads = 0

        async def status(self, caller: Caller) -> object:
            self.reads += 1
            return await store.counters.status(caller)

    counters, caller = Counted(), a_caller()
    feeds = UsageFeeds(counters, read_s=60.0)  # type: ignore[arg-type]
    watches = [feeds.watch(lambda: caller) for _ in range(20)]
    for watch in watches:
        assert (await anext(watch)).HasField("state")
    assert counters.reads == 1
    for watch in watches:
        await watch.aclose()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "usage-feed" and not task.cancelling()]


async def test_a_quiet_watch_shows_that_it_is_alive(store: PostgresStore) -> None:
    feeds = UsageFeeds(store.counters, read_s=READ_S, heartbeat_s=0.1)
    async with aclosing(feeds.watch(a_caller)) as watching:
        kinds = [(await anext(watching)).WhichOneof("response") for _ in range(3)]
    assert kinds == ["state", "heartbeat", "heartbeat"]


@pytest.mark.parametrize("failure", [Unavailable(reason="DATABASE_UNAVAILABLE"), RuntimeError("broken")])
async def test_watchers_learn_that_the_counters_cannot_be_read_and_the_next_watch_works(
    store: PostgresStore, failure: Exception
) -> None:
    class Failing:
        failures = 1

        async def status(self, caller: Caller) -> object:
            if self.failures:
                self.failures -= 1
                raise failure
            return await store.counters.status(caller)

    feeds = UsageFeeds(Failing(), read_s=READ_S)  # type: ignore[arg-type]
    with pytest.raises(type(failure)):
        await anext(feeds.watch(a_caller))
    async with aclosing(feeds.watch(a_caller)) as watching:
        assert (await anext(watching)).HasField("state")


async def test_a_watcher_that_reads_late_gets_the_latest_use_once(store: PostgresStore) -> None:
    caller, feeds = a_caller(), UsageFeeds(store.counters, read_s=READ_S)
    async with aclosing(feeds.watch(lambda: caller)) as slow, aclosing(feeds.watch(lambda: caller)) as quick:
        await anext(slow)
        await anext(quick)
        await admit(store, caller, *range(9))
        await until_warned(quick, 90)
        assert jobs_of(await until_warned(slow, 90)) == [9]
        await store.jobs.record(numbered(1).id, next_event.cancel)
        while (response := await anext(slow)).change.measure != "jobs":
            pass
        assert response.change.held == 8
