"""Feeds over a real database: slow watchers, broken connections, heartbeats, and what is kept in memory."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import sqlalchemy as sa
from i2v.v1 import job_pb2
from prometheus_client import CollectorRegistry

from services.errors import Unavailable
from services.orchestrator.admission.queue_forecasts import QueueForecasts
from services.orchestrator.api import job_messages
from services.orchestrator.api.event_feed_registry import EventFeeds
from services.orchestrator.api.shared_event_feed import KEPT_BYTES, PAGE, EventFeed
from services.orchestrator.domain import next_event
from services.orchestrator.domain.event import JobError, Progressed
from services.orchestrator.domain.job import Job
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from tests.support.builders import FakeClock, a_job, admit

KEPT = 3
BROKEN = JobError("X", "x", retryable=True)


def forecasts(store: PostgresStore) -> QueueForecasts:
    return QueueForecasts(store.queues, PrometheusMeter(CollectorRegistry()))


async def happens(store: PostgresStore, job: Job, times: int) -> None:
    for _ in range(times):
        await store.jobs.record(job.id, lambda _: Progressed("generate", 0.5))


async def numbers(watching: AsyncGenerator[bytes, None], up_to: int) -> list[int]:
    """Returns the sequence numbers of the events up to one, heartbeats left out."""
    seen = []
    async for data in watching:
        answer = job_pb2.WatchJobResponse.FromString(data)
        if answer.HasField("event"):
            seen.append(answer.event.sequence)
            if seen[-1] == up_to:
                break
    return seen


async def started(store: PostgresStore) -> Job:
    job = await admit(store, a_job())
    return (await store.jobs.record(job.id, next_event.start)).after


async def test_a_slow_watcher_keeps_nothing_and_misses_nothing(store: PostgresStore) -> None:
    job, feeds = await started(store), EventFeeds(store.job_events, forecasts(store), kept=KEPT)
    async with aclosing(feeds.watch(job, 0)) as slow, aclosing(feeds.watch(job, 0)) as quick:
        assert job_pb2.WatchJobResponse.FromString(await anext(slow)).event.sequence == 1
        await happens(store, job, 4 * KEPT)
        assert await numbers(quick, 2 + 4 * KEPT) == list(range(1, 3 + 4 * KEPT))
        assert await numbers(slow, 2 + 4 * KEPT) == list(range(2, 3 + 4 * KEPT))


async def test_more_events_than_a_page_come_without_a_gap(store: PostgresStore) -> None:
    job, feeds = await started(store), EventFeeds(store.job_events, forecasts(store), kept=KEPT)
    await happens(store, job, PAGE + 20)
    async with aclosing(feeds.watch(job, 0)) as watching:
        assert await numbers(watching, PAGE + 22) == list(range(1, PAGE + 23))


async def test_a_feed_keeps_few_events_and_few_bytes(store: PostgresStore) -> None:
    job = await started(store)
    for _ in range(20):
        await store.jobs.record(job.id, lambda _: Progressed("s" * 40_000, 0.5))
    feed = EventFeed(store.job_events, await store.jobs.get(job.id), lambda: None, beat_s=5.0)
    reading = asyncio.create_task(feed.read())
    while not feed.holds(22) or feed.next(21) is None:
        await feed.changed.wait()
    kept = [found for after in range(22) if (found := feed.next(after)) is not None]
    assert kept[-1].sequence == 22 and sum(len(found.data) for found in kept) <= KEPT_BYTES
    assert not feed.holds(kept[0].sequence - 2) and feed.holds(kept[0].sequence - 1)
    reading.cancel()
    await asyncio.wait({reading})


async def test_a_quiet_watch_shows_signs_of_life(store: PostgresStore) -> None:
    job, feeds = await started(store), EventFeeds(store.job_events, forecasts(store), heartbeat_s=0.05)
    async with aclosing(feeds.watch(job, 2)) as watching:
        for _ in range(3):
            assert job_pb2.WatchJobResponse.FromString(await anext(watching)).HasField("heartbeat")


async def test_watchers_whose_events_cannot_be_read_learn_it_and_resume_without_a_gap(
    store: PostgresStore, database: str, clock: FakeClock
) -> None:
    job, feeds = await started(store), EventFeeds(store.job_events, forecasts(store))
    other = PostgresStore(database, clock=clock, queue=Queue("make_video", "i2v-test", "1"))
    await other.start()
    watches = [feeds.watch(job, 0) for _ in range(3)]
    for watch in watches:
        assert await numbers(watch, 2) == [1, 2]
    waiting = [asyncio.create_task(numbers(watch, 3)) for watch in watches]
    async with other.database.writing() as connection:  # every connection of the store breaks
        await connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    for ended in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(ended, Unavailable)
    await happens(other, job, 1)
    async with aclosing(feeds.watch(job, 2)) as resumed:
        assert await numbers(resumed, 3) == [3]
    await other.stop()


async def test_of_a_job_whose_events_were_removed_a_watch_has_the_last_one_alone(store: PostgresStore) -> None:
    job = await started(store)
    for _ in range(3 * KEPT):
        await happens(store, job, 1)
    ended = (await store.jobs.record(job.id, partial(next_event.fail, error=BROKEN))).after
    last = await store.job_events.read(job.id, after=ended.last_sequence - 1)
    async with store.database.writing() as connection:
        await connection.execute(sa.text("DELETE FROM job_events"))
    for kept in (KEPT, 100):
        feeds = EventFeeds(store.job_events, forecasts(store), kept=kept)
        for after in (0, 2, ended.last_sequence - 1):
            seen = [data async for data in feeds.watch(ended, after)]
            answers = [job_pb2.WatchJobResponse.FromString(data) for data in seen]
            assert [answer.event for answer in answers] == [job_messages.event(each) for each in last]


async def test_a_watch_of_which_the_events_are_removed_meanwhile_ends_with_the_last_one(store: PostgresStore) -> None:
    job = await started(store)
    await happens(store, job, PAGE + 20)
    ended = (await store.jobs.record(job.id, partial(next_event.fail, error=BROKEN))).after
    feeds = EventFeeds(store.job_events, forecasts(store), kept=KEPT)
    seen = []
    async with aclosing(feeds.watch(ended, 0)) as watching:
        seen.append(job_pb2.WatchJobResponse.FromString(await anext(watching)).event.sequence)
        async with store.database.writing() as connection:
            await connection.execute(sa.text("DELETE FROM job_events WHERE sequence > 100"))
        seen += await numbers(watching, ended.last_sequence)
    assert seen[-1] == ended.last_sequence and seen == sorted(set(seen))
