"""The migration to counters, of a database that the version before has filled with jobs in every state."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from services.errors import QuotaExceeded
from services.orchestrator.domain import next_event
from services.orchestrator.domain.job import State
from services.orchestrator.domain.usage import Owner
from services.orchestrator.store.database import driver_url, migrate
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.worker.dbos_queue import migrate_queue
from tests.support.builders import FakeClock, admit, limit_status, numbered
from tests.support.migrations import migrated as moved

FILLED = Path(__file__).parent.parent / "golden" / "database-0008.sql"


@pytest.fixture(params=["0008", "0007"])
def filled(postgres: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a database that was filled by an earlier version, with a job in each state and one that was refunded."""
    admin = sa.create_engine(driver_url(postgres), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE i2v_0008"))
    url = sa.make_url(driver_url(postgres)).set(database="i2v_0008").render_as_string(hide_password=False)
    moved(url, command.upgrade, "0008")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO tenants (id, plan) VALUES ('studio', 'test')")
        for table in ("jobs", "ledger_entries"):  # the triggers would write what is in the file
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        connection.exec_driver_sql(FILLED.read_text())
        for user, digest, size in (("ann", "a", 10), ("ann", "b", 20), ("bob", "a", 10)):
            connection.exec_driver_sql(
                'INSERT INTO assets (tenant, "user", sha256, size_bytes, media_type, width, height, create_time)'
                f" VALUES ('studio', '{user}', repeat('{digest}', 64), {size}, 'image/png', 8, 8, now())"
            )
        connection.exec_driver_sql("SELECT setval(pg_get_serial_sequence('accounts', 'id'), 10)")
    with engine.begin() as connection:
        for table in ("jobs", "ledger_entries"):
            connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    if request.param != "0008":
        moved(url, command.downgrade, request.param)
    migrate(url)
    migrate_queue(url)
    yield url
    with admin.connect() as connection:
        connection.execute(sa.text("DROP DATABASE i2v_0008 WITH (FORCE)"))


@pytest.fixture
async def migrated(filled: str, clock: FakeClock) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(filled, clock=clock, queue=Queue("make_video", "i2v-test", "1"))
    await store.start()
    yield store
    await store.stop()


async def test_every_booking_is_there_after_the_migration_and_the_jobs_end_as_ever(migrated: PostgresStore) -> None:
    store = migrated
    assert await store.counter_audits.full(limit=9) == []
    page = await store.jobs.page("studio", "ann", state=None, after=None, limit=100)
    assert {job.state for job in page} == set(State)
    for subject in ("tenant", "user"):
        spend = await limit_status(store, subject, "spend")
        unfinished = await limit_status(store, subject, "unfinished")
        assert (spend.held, spend.used, unfinished.held) == (4000, 1000, 4)
    entries = await store.ledger.newest(Owner("studio", "ann"), limit=100)
    assert len(entries) == 13
    assert sum(entry.reserved_micros for entry in entries) == 4000
    assert sum(entry.spent_micros for entry in entries) == 1000
    # The video that succeeded; what was charged and refunded counts for nothing.
    assert (sum(entry.jobs for entry in entries), sum(entry.video_ms for entry in entries)) == (1, 1000)
    assert {(entry.model, entry.operation) for entry in entries} == {("test-model", "text-to-video")}
    for job in page:
        if job.state is State.QUEUED:
            await store.jobs.record(job.id, next_event.cancel)
        elif not job.state.ended:
            await store.jobs.record(job.id, lambda job: next_event.fail(job, next_event.LOST))
    spend = await limit_status(store, "user", "spend")
    assert (spend.held, spend.used) == (1000, 1000)  # one is RECONCILING
    assert await store.counter_audits.full(limit=9) == []


async def test_the_limits_go_on_where_they_were(migrated: PostgresStore) -> None:
    used = await limit_status(migrated, "user", "spend")
    again = numbered(100)
    with pytest.raises(QuotaExceeded):
        await admit(migrated, again, user_budget_micros=used.used + used.held + again.quote_micros - 1)


async def test_what_was_stored_before_is_counted(migrated: PostgresStore) -> None:
    stored = [(await limit_status(migrated, *who)).used for who in (("tenant", "bytes"), ("user", "bytes", "bob"))]
    assert stored == [40, 10]
