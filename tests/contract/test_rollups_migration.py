"""The migration to rollups, of a ledger with paid tasks, refunds and folded months."""

import asyncio
from pathlib import Path

import psycopg
import sqlalchemy as sa
from alembic import command

from services.orchestrator.domain.retention import Kind
from services.orchestrator.retention.ledger_folding import LedgerFolding
from services.orchestrator.store.database import migrate, plain_url
from services.orchestrator.store.migrations.versions import m0033_rollups
from services.orchestrator.store.postgres_store import PostgresStore
from tests.contract.test_rollups import REMOTE, page, pay, succeed
from tests.support.builders import FakeClock, numbered
from tests.support.migrations import migrated
from tests.support.old_jobs import DAY_S, Bytes, retention, run_job

INDEX = sa.text("SELECT to_regclass('paid_calls_of_provider')")
WAITS = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'jobs'::regclass"
BEFORE = str(m0033_rollups.down_revision)


async def test_what_vendors_were_paid_for_jobs_that_are_kept_is_known_after_the_migration(
    store: PostgresStore, database: str, clock: FakeClock
) -> None:
    await pay(store, numbered(1, **REMOTE))
    await pay(store, numbered(2, **REMOTE))
    await store.paid_calls.refund(numbered(2).id)
    await succeed(store, clock, numbered(3))
    before = await page(store)
    assert before.total.vendor_micros == 1000
    migrated(database, command.downgrade, BEFORE)
    migrate(database)
    await pay(store, numbered(4, **REMOTE))
    async with store.database.writing() as connection:  # as a process of the version before has booked it
        await connection.execute(sa.text("UPDATE ledger_entries SET vendor_micros = 0"))
    await store.paid_calls.refund(numbered(4).id)
    after = await page(store)
    assert [each.sums.vendor_micros for each in after.rollups] == [1000, 0]
    assert after.total.charged_micros == before.total.charged_micros
    async with store.database.reading() as connection:
        rows = await connection.execute(
            sa.text("SELECT reference, kind, vendor_micros FROM ledger_entries WHERE vendor_micros <> 0 ORDER BY 1, 2")
        )
        assert [tuple(row) for row in rows] == [
            (numbered(1).id, "settle", 1000),
            (numbered(2).id, "refund", -1000),
            (numbered(2).id, "settle", 1000),
            (numbered(4).id, "refund", -1000),
            (numbered(4).id, "settle", 1000),
        ]
    assert await store.counter_audits.full(limit=9) == []


async def test_the_index_of_paid_calls_is_made_while_others_write(store: PostgresStore, database: str) -> None:
    migrated(database, command.downgrade, BEFORE)
    migrated(database, command.upgrade, "head")
    async with store.database.reading() as connection:
        assert (await connection.execute(INDEX)).scalar_one() is None, "no migration locks the table for it"
    migrate(database)
    async with store.database.reading() as connection:
        assert (await connection.execute(INDEX)).scalar_one() is not None


async def test_a_job_that_is_being_booked_and_the_migration_do_not_wait_for_one_another(database: str) -> None:
    migrated(database, command.downgrade, BEFORE)
    async with (
        await psycopg.AsyncConnection.connect(plain_url(database)) as booking,
        await psycopg.AsyncConnection.connect(plain_url(database), autocommit=True) as other,
    ):
        await booking.execute("LOCK TABLE jobs IN ROW EXCLUSIVE MODE")  # as of an event that ends a job
        migrating = asyncio.create_task(asyncio.to_thread(migrate, database))
        while not await (await other.execute(WAITS)).fetchone():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await booking.execute("LOCK TABLE ledger_entries IN ROW EXCLUSIVE MODE")
        await booking.commit()
        await migrating


async def test_a_month_that_was_folded_before_is_on_its_first_day(
    store: PostgresStore, database: str, clock: FakeClock, tmp_path: Path
) -> None:
    stored = Bytes(tmp_path)
    for number in (1, 2):
        await run_job(store, clock, stored, numbered(number))
        clock.advance(DAY_S)
    clock.advance(401 * DAY_S)
    await retention(store, stored.blobs, clock).run(Kind.JOBS, 100)
    await LedgerFolding(store.old_bookings, store.tenants, clock).fold("studio", "2026-12", dry_run=False)
    migrated(database, command.downgrade, BEFORE)
    migrate(database)
    [found] = (await page(store)).rollups
    assert (str(found.key.day), found.sums.jobs, found.sums.charged_micros) == ("2026-11-01", 2, 2000)
    assert await store.counter_audits.full(limit=9) == []
