"""What JobEvents return, and which waiters they wake."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.orchestrator.api import job_messages
from services.orchestrator.domain import event as events
from services.orchestrator.domain import next_event
from services.orchestrator.domain.event import Cancelled, JobError, Progressed, Started
from services.orchestrator.store.notification_listener import Signal
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.schema import job_events
from tests.support.builders import NOON, a_job, admit


async def test_the_fragments_of_all_attempts_are_reported_in_order(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    announced = [events.FragmentReady(index, "a" * 64, 4, 99, 0.5) for index in (0, 1, 0)]
    for body in (Started(1), *announced[:2], Started(2), events.Continued(1, 0.5), announced[2]):
        await store.jobs.record(job.id, lambda _, body=body: body)
    assert await store.job_events.fragments(job.id) == announced
    assert events.Continued(1, 0.5) in [event.body for event in await store.job_events.read(job.id, after=0)]


async def test_events_are_numbered_without_a_gap_whoever_writes(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.start)
    await asyncio.gather(*(store.jobs.record(job.id, lambda _, n=n: Progressed("generate", n / 40)) for n in range(40)))
    read = await store.job_events.read(job.id, after=0)
    assert [event.sequence for event in read] == list(range(1, 43))
    assert [event.sequence for event in await store.job_events.read(job.id, after=40)] == [41, 42]
    assert [event.sequence for event in await store.job_events.read(job.id, after=3, limit=2)] == [4, 5]


async def test_every_kind_of_event_is_read_as_it_was_written(store: PostgresStore) -> None:
    error = JobError("ENGINE_BUSY", "busy", retryable=True)
    bodies = [
        Started(1),
        events.Progressed("generate", 0.5),
        events.FragmentReady(0, "a" * 64, 4, 99, 0.6),
        events.Retrying(error, NOON + timedelta(seconds=2)),
        Started(2),
        events.Retrying(error, NOON + timedelta(seconds=2), requeued=True),
        Started(3),
        events.CancelRequested(),
        Cancelled(400),
    ]
    job = await admit(store, a_job())
    for body in bodies:
        await store.jobs.record(job.id, lambda _, body=body: body)
    assert [event.body for event in await store.job_events.read(job.id, after=1)] == bodies


async def test_a_waiter_is_woken_by_events_and_by_stops_only_for_stops(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.start)
    async with store.job_events.changes(job.id) as changes, store.job_events.stops(job.id) as stops:
        assert await changes.wait(60) and await stops.wait(60)  # set at first, so the first wait returns
        while await changes.wait(0.3) or await stops.wait(0.3):
            pass  # news of the start may come after the look
        await store.jobs.record(job.id, lambda _: Progressed("generate", 0.5))
        assert await changes.wait(60)
        assert not await stops.wait(0.2)
        await store.jobs.record(job.id, next_event.cancel)
        assert await changes.wait(60) and await stops.wait(60)


async def test_a_cancel_that_comes_together_with_a_signal_is_not_lost() -> None:
    signal = Signal()
    assert await signal.wait(60)
    waiting = asyncio.create_task(signal.wait(60))
    await asyncio.sleep(0.01)
    signal.raise_()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_waiters_survive_a_broken_connection(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    async with store.job_events.changes(job.id) as changes:
        await changes.wait(60)
        async with store.database.writing() as connection:
            await connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        assert await changes.wait(10)  # woken when it listens again, and by later events
        await asyncio.gather(*(store.database.check() for _ in range(10)), return_exceptions=True)
        await store.jobs.record(job.id, next_event.start)
        assert await changes.wait(10)


async def test_what_a_newer_release_has_written_is_read_as_far_as_it_is_known(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    error = {"reason": "ENGINE_BUSY", "message": "busy", "retryable": True, "resumable": False, "later": 1}
    for number, kind, body in (
        (2, "Started", {"attempt": 1, "place": "elsewhere"}),
        (3, "Paused", {"until": "noon"}),
        (4, "Retrying", {"error": error, "retry_time": NOON.isoformat(), "requeued": True, "why": {"deep": []}}),
    ):
        row = {"job_id": job.id, "sequence": number, "time": NOON, "kind": kind, "body": body, "terminal": False}
        async with store.database.writing() as connection:
            await connection.execute(sa.insert(job_events).values(**row))
    read = await store.job_events.read(job.id, after=1)
    assert [event.body for event in read] == [
        Started(1),
        events.Unrecognized("Paused"),
        events.Retrying(JobError("ENGINE_BUSY", "busy", retryable=True), NOON, requeued=True),
    ]
    shown = [job_messages.event(event) for event in read]
    assert [(each.sequence, each.WhichOneof("event")) for each in shown] == [(2, "started"), (3, None), (4, "retrying")]
