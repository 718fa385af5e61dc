"""What PostgresFleet says of the queues and the workers, and what the metrics show of it."""

import pytest
from prometheus_client import CollectorRegistry

from services.orchestrator.domain import next_event
from services.orchestrator.domain.fleet import Backlog
from services.orchestrator.fleet_metrics import FleetMetrics
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.workers import PostgresWorkers
from tests.support.builders import FakeClock, admit, numbered


@pytest.fixture
def workers(store: PostgresStore, database: str, clock: FakeClock) -> list[PostgresWorkers]:
    """Two starts of one worker, and one of another."""
    queue = Queue("make_video", "i2v-test", "1")
    starts = (("worker-0", "a"), ("worker-0", "b"), ("worker-1", "a"))
    return [
        PostgresWorkers(store.database, database, clock, queue, worker=name, incarnation=start, slots={"test": 2})
        for name, start in starts
    ]


async def test_the_oldest_waiting_job_and_the_number_are_of_each_backend(store: PostgresStore) -> None:
    first, second, _ = [await admit(store, numbered(number)) for number in (1, 2, 3)]
    await store.jobs.record(first.id, next_event.start)
    fleet = await store.fleet.look()
    assert fleet.backlogs == {"test": Backlog(2, second.create_time)}


async def test_a_worker_that_stopped_to_beat_is_silent_until_it_is_back(
    store: PostgresStore, workers: list[PostgresWorkers], clock: FakeClock
) -> None:
    first, again, other = workers
    await first.beat()
    clock.advance(120)
    await other.beat()
    fleet = await store.fleet.look()
    assert (fleet.alive, fleet.silent, fleet.slots) == (1, 1, {"test": 2})
    await again.beat()
    fleet = await store.fleet.look()
    assert (fleet.alive, fleet.silent, fleet.slots) == (2, 0, {"test": 4})


async def test_metrics_keep_a_backend_whose_queue_is_empty_again(store: PostgresStore) -> None:
    registry = CollectorRegistry()
    metrics = FleetMetrics(registry)

    def shown(name: str) -> float | None:
        return registry.get_sample_value(name, {"backend": "test"})

    job = await admit(store, numbered(1))
    metrics.show(await store.fleet.look())
    assert shown("i2v_jobs_queued") == 1
    assert shown("i2v_queue_oldest_timestamp_seconds") == job.create_time.timestamp()
    await store.jobs.record(job.id, next_event.cancel)
    metrics.show(await store.fleet.look())
    assert (shown("i2v_jobs_queued"), shown("i2v_queue_oldest_timestamp_seconds")) == (0, 0)
    assert registry.get_sample_value("i2v_workers", {"state": "silent"}) == 0


async def test_workers_that_share_servers_have_no_more_slots_than_these(
    store: PostgresStore, workers: list[PostgresWorkers]
) -> None:
    _, one, other = workers
    for worker, servers in ((one, {"10.0.0.1:8001": 2, "10.0.0.2:8001": 1}), (other, {"10.0.0.1:8001": 2})):
        await worker.beat()
        await worker.report({"test": ""}, {"test": 4}, {"test": servers})
    assert (await store.fleet.look()).slots == {"test": 3}
    assert (await store.queues.snapshot("test")).slots == 3
    await other.report({"test": ""}, {"test": 4}, {"test": {"10.0.0.9:8001": 4}})
    assert (await store.fleet.look()).slots == {"test": 7}
    await other.report({"test": "ENGINE_UNREACHABLE"}, {"test": 2}, {"test": {}})
    assert (await store.queues.snapshot("test")).slots == 5
