"""The list of workers: a name belongs to one worker, and the entries of an incarnation are requeued once."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.worker_name_lock import NameTaken
from services.orchestrator.store.workers import PostgresWorkers
from tests.support.builders import FakeClock, a_job, admit

Rolls = Callable[[str, str], PostgresWorkers]
TAKE = sa.text(
    "UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = :executor, owner_xid = 'token',"
    " started_at_epoch_ms = 1 WHERE workflow_uuid = :entry"
)
ENTRIES = sa.text(
    "SELECT workflow_uuid FROM dbos.workflow_status WHERE status = 'ENQUEUED' AND owner_xid IS NULL"
    " AND started_at_epoch_ms IS NULL AND queue_name = 'test' ORDER BY created_at"
)


@pytest.fixture
def workers_of(store: PostgresStore, database: str, clock: FakeClock) -> Rolls:
    """Makes the workers for one incarnation of a worker."""
    queue = Queue("make_video", "i2v-test", "1")

    def workers(worker: str, incarnation: str) -> PostgresWorkers:
        return PostgresWorkers(
            store.database, database, clock, queue, worker=worker, incarnation=incarnation, timeout_s=0.1
        )

    return workers


async def taken(store: PostgresStore, *executors: str) -> list[str]:
    """Admits a job for each executor, which takes its queue entry; returns the entries."""
    entries = [f"{number:032x}" for number in range(len(executors))]
    for number, (entry, executor) in enumerate(zip(entries, executors, strict=True)):
        await admit(store, a_job(id=entry, request_id=f"6f9619ff-8b86-4011-b42d-00c04fc9{number:04x}"))
        async with store.database.writing() as connection:
            await connection.execute(TAKE, {"executor": executor, "entry": entry})
    return entries


async def waiting(store: PostgresStore) -> list[str]:
    """Returns the entries that any worker may take, in their order."""
    async with store.database.reading() as connection:
        return list((await connection.execute(ENTRIES)).scalars())


async def test_exactly_one_worker_requeues_the_entries_of_a_silent_one(
    store: PostgresStore, workers_of: Rolls, clock: FakeClock
) -> None:
    silent = workers_of("worker-0", "a")
    await silent.beat()
    entries = await taken(store, *[silent.executor] * 3, "worker-1.a")
    since = clock.now() + timedelta(seconds=1)
    left = await asyncio.gather(*(workers_of(f"worker-{n}", "b").take_over(since) for n in range(2, 7)))
    assert sum(sum(each.values()) for each in left) == 3
    assert await waiting(store) == entries[:3]


async def test_requeued_jobs_wake_the_workers_of_their_queue(store: PostgresStore, workers_of: Rolls) -> None:
    stopped = workers_of("worker-0", "a")
    entries = await taken(store, stopped.executor)
    async with store.queues.entries("test") as signal:
        assert await signal.wait(0.0)  # set at first
        while await signal.wait(1.0):  # of the admission
            pass
        await stopped.put_back(entries)
        assert await signal.wait(30.0)


async def test_an_incarnation_is_taken_over_while_another_of_its_name_runs(
    store: PostgresStore, workers_of: Rolls, clock: FakeClock
) -> None:
    first, second = workers_of("worker-0", "a"), workers_of("worker-0", "b")
    await first.beat()
    entries = await taken(store, first.executor, second.executor)
    clock.advance(60)
    await second.beat()
    assert await workers_of("worker-1", "c").take_over(clock.now() - timedelta(seconds=30)) == {first.executor: 1}
    assert await waiting(store) == entries[:1]


async def test_a_suspended_worker_is_still_listed_when_it_takes_another_job(
    store: PostgresStore, workers_of: Rolls, clock: FakeClock
) -> None:
    sleeper, other = workers_of("worker-0", "a"), workers_of("worker-1", "b")
    await sleeper.beat()
    clock.advance(60)
    assert await other.take_over(clock.now()) == {}
    await taken(store, sleeper.executor)  # it resumed, and was killed before its next heartbeat
    assert await other.take_over(clock.now()) == {sleeper.executor: 1}


async def test_a_new_incarnation_requeues_the_entries_of_earlier_ones(store: PostgresStore, workers_of: Rolls) -> None:
    earlier = workers_of("worker-0", "a")
    await earlier.beat()
    async with store.database.writing() as connection:  # as versions without incarnations did
        await connection.execute(sa.text("INSERT INTO executors (id, beat_time) VALUES ('worker-0', now())"))
    entries = await taken(store, earlier.executor, "worker-0", "worker-1")
    later = workers_of("worker-0", "b")
    await later.enter()
    assert await waiting(store) == entries[:2]
    await later.leave()


async def test_an_incarnation_requeues_only_its_own_entries(store: PostgresStore, workers_of: Rolls) -> None:
    workers = workers_of("worker-0", "a")
    await workers.enter()
    entries = await taken(store, workers.executor, workers.executor, "worker-1.a")
    assert [await workers.has(entry) for entry in entries] == [True, True, False]
    await workers.put_back([entries[1], entries[2]])
    assert [await workers.has(entry) for entry in entries] == [True, False, False]
    assert await waiting(store) == entries[1:2]
    await workers.leave()
    assert await waiting(store) == entries[:2]


async def test_a_name_belongs_to_one_worker_until_its_release(workers_of: Rolls) -> None:
    first, second, other = workers_of("worker-0", "a"), workers_of("worker-0", "b"), workers_of("worker-1", "a")
    await first.enter()
    with pytest.raises(NameTaken):
        await second.enter()
    await other.enter()
    await first.leave()
    await second.enter()
    await second.leave()
    await other.leave()
