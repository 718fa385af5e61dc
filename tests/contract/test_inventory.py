"""What PostgresInventory says of an installation, and what the metrics show of it."""

import pytest
from prometheus_client import CollectorRegistry

from services.orchestrator.domain import next_event
from services.orchestrator.domain.inventory import DatabaseState
from services.orchestrator.meters.database_metrics import DatabaseMetrics
from services.orchestrator.meters.inventory_metrics import InventoryMetrics
from services.orchestrator.store import schema_version
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import FakeClock, admit, numbered


async def test_jobs_their_money_and_their_entries_are_counted(store: PostgresStore) -> None:
    registry = CollectorRegistry()
    metrics = InventoryMetrics(registry)
    jobs = [await admit(store, numbered(number)) for number in (1, 2)]
    found = await store.inventory.look()
    assert (found.unfinished, found.held_micros) == (2, sum(job.quote_micros for job in jobs))
    assert found.entries == {("test", "waiting"): 2}
    assert found.entry_ages_s["test"] >= 0
    assert (found.reconciling_age_s, found.trash_entries, found.trash_age_s) == (0, 0, 0)
    metrics.show(found)
    waiting = {"backend": "test", "state": "waiting"}
    assert registry.get_sample_value("i2v_queue_entries", waiting) == 2
    assert registry.get_sample_value("i2v_held_micros") == found.held_micros
    for job in jobs:
        await store.jobs.record(job.id, next_event.cancel)
    metrics.show(await store.inventory.look())
    assert registry.get_sample_value("i2v_jobs_unfinished") == 0
    assert registry.get_sample_value("i2v_held_micros") == 0


async def test_the_offset_of_the_clock_is_measured(store: PostgresStore, clock: FakeClock) -> None:
    before = (await store.inventory.state()).clock_offset_s
    clock.advance(180)
    state = await store.inventory.state()
    assert state.schema == "current"
    assert state.clock_offset_s - before == pytest.approx(180, abs=5)


@pytest.mark.parametrize(
    ("found", "state"),
    [(None, "behind"), (schema_version.known()[-1], "behind"), (schema_version.known()[0], "current"), ("x", "ahead")],
)
def test_a_schema_is_current_behind_or_ahead(found: str | None, state: str) -> None:
    assert schema_version.standing(found) == state
    registry = CollectorRegistry()
    DatabaseMetrics(registry).show(DatabaseState(state, 0.0))
    shown = [registry.get_sample_value("i2v_schema_state", {"state": each}) for each in ("current", "behind", "ahead")]
    assert shown == [float(each == state) for each in ("current", "behind", "ahead")]


async def test_connections_in_use_are_those_of_the_moment(store: PostgresStore) -> None:
    registry = CollectorRegistry()
    DatabaseMetrics(registry).pool(store.database.connections_in_use, store.database.pool_size)

    def shown(of: str) -> float | None:
        return registry.get_sample_value("i2v_database_connections", {"of": of})

    async with store.database.reading():
        assert shown("use") == 1
    assert (shown("use"), shown("most")) == (0, store.database.pool_size)
