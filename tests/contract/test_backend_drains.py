"""Drains of backends: every process hears of them, they outlive processes, and the audit log has them."""

from services.orchestrator.domain import next_event
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.backend_state import BackendState, BackendWorker, Drain
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.workers import PostgresWorkers
from tests.support.builders import NOON, FakeClock, a_caller, admit, numbered


def an_act(action: str, reason: str = "a new driver") -> Act:
    return Act(NOON, "operators/eve", action, "backends/test", reason=reason)


async def test_a_drain_begins_once_and_ends(store: PostgresStore) -> None:
    drains = store.backend_drains
    async with drains.changes() as signal:
        assert await signal.wait(5)  # raised at first: look
        while await signal.wait(0.3):
            pass
        await drains.drain("test", an_act("DrainBackend"))
        assert await signal.wait(5)
        await drains.drain("test", an_act("DrainBackend", "a newer driver"))
        assert await drains.drained() == {"test"}
        assert (await drains.states())["test"].drain == Drain("test", "a newer driver", "operators/eve", NOON)
        while await signal.wait(0.3):
            pass
        await drains.undrain("test", an_act("UndrainBackend"))
        assert await signal.wait(5)
    await drains.undrain("test", an_act("UndrainBackend"))
    assert await drains.drained() == set()
    entries = await store.audit_log.page(tenant="", before=None, limit=10)
    assert [(entry.act.action, dict(entry.before), dict(entry.after)) for entry in reversed(entries)] == [
        ("DrainBackend", {"drained": "False"}, {"drained": "True"}),
        ("DrainBackend", {}, {}),
        ("UndrainBackend", {"drained": "True"}, {"drained": "False"}),
        ("UndrainBackend", {}, {}),
    ]


async def test_a_backend_has_its_jobs_and_the_newest_incarnation_of_each_worker(
    store: PostgresStore, database: str, clock: FakeClock
) -> None:
    def incarnation(name: str) -> PostgresWorkers:
        queue = Queue("make_video", "i2v-test", "1")
        return PostgresWorkers(store.database, database, clock, queue, worker="worker-0", incarnation=name)

    first, _, third = [await admit(store, numbered(number)) for number in (1, 2, 3)]
    await store.admissions.admit(numbered(4), "fingerprint", a_caller(), "other")
    await store.jobs.record(first.id, next_event.start)
    await store.jobs.record(third.id, next_event.cancel)
    before, now = incarnation("a"), incarnation("b")
    await before.beat()
    await before.report({"test": "", "other": ""})
    clock.advance(60)
    await now.beat()
    assert (await store.backend_drains.states())["test"].workers == ()  # it has not looked yet
    await now.report({"test": "ENGINE_LOADING"})
    await store.backend_drains.drain("old", an_act("DrainBackend"))
    states = await store.backend_drains.states()
    worker = BackendWorker("worker-0", clock.now(), "ENGINE_LOADING")
    assert states["test"] == BackendState("test", None, queued=1, running=1, workers=(worker,))
    assert states["other"] == BackendState("other", None, queued=1)
    assert set(states) == {"test", "other", "old"}


async def test_a_drain_outlives_the_process(store: PostgresStore, database: str, clock: FakeClock) -> None:
    await store.backend_drains.drain("test", an_act("DrainBackend"))
    other = PostgresStore(database, clock=clock, queue=Queue("make_video", "i2v-test", "1"))
    try:
        assert await other.backend_drains.drained() == {"test"}
    finally:
        await other.database.close()
