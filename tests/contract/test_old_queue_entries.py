"""The removal of ended queue entries, by DBOS's own function on its own tables."""

from datetime import timedelta

import sqlalchemy as sa

from services.orchestrator.domain import next_event
from services.orchestrator.domain.retention import NOTHING_DUE, Due
from services.orchestrator.retention.old_queue_entries import OldQueueEntries
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.worker.dbos_queue import DbosEntries
from tests.support.builders import FakeClock, admit, numbered
from tests.support.old_jobs import ACT

END = sa.text("UPDATE dbos.workflow_status SET status = :status, completed_at = :time WHERE workflow_uuid = :entry")
ENTRIES = sa.text("SELECT workflow_uuid FROM dbos.workflow_status ORDER BY workflow_uuid")
INPUTS = sa.text("SELECT workflow_uuid FROM dbos.workflow_input ORDER BY workflow_uuid")
WEEK = timedelta(days=7)


async def queued(store: PostgresStore, number: int, tenant: str = "studio") -> str:
    """Admits a job and cancels it; returns its entry."""
    job = await admit(store, numbered(number, tenant=tenant))
    await store.jobs.record(job.id, next_event.cancel)
    return job.id


async def end(store: PostgresStore, clock: FakeClock, entry: str, status: str = "SUCCESS") -> None:
    given = {"status": status, "time": round(clock.now().timestamp() * 1000), "entry": entry}
    async with store.database.writing() as connection:
        await connection.execute(END, given)


async def left(store: PostgresStore, query: sa.TextClause = ENTRIES) -> list[str]:
    async with store.database.reading() as connection:
        return list((await connection.execute(query)).scalars())


async def remove(store: PostgresStore, clock: FakeClock, database: str) -> int:
    removing = OldQueueEntries(store.old_entries, DbosEntries(database).remove)
    return sum([removed async for removed in removing.batches(clock.now() - WEEK)])


async def test_an_entry_goes_a_week_after_its_end_with_all_that_dbos_has_of_it(
    store: PostgresStore, clock: FakeClock, database: str
) -> None:
    first, second = await queued(store, 1), await queued(store, 2)
    await end(store, clock, first)
    ended = clock.now()
    clock.advance(3 * 86_400)
    await end(store, clock, second, "CANCELLED")
    clock.advance(4 * 86_400 + 1)
    removing = OldQueueEntries(store.old_entries, DbosEntries(database).remove)
    assert await removing.due(clock.now() - WEEK) == Due(1, ended)
    assert await remove(store, clock, database) == 1
    assert await left(store) == [second] == await left(store, INPUTS)
    assert await removing.due(clock.now() - WEEK) == NOTHING_DUE


async def test_entries_that_wait_or_run_stay_and_so_do_those_of_unfinished_jobs(
    store: PostgresStore, clock: FakeClock, database: str
) -> None:
    waiting = await queued(store, 1)
    unfinished = await admit(store, numbered(2))
    await end(store, clock, unfinished.id)  # its job is reconciled, say, and will get another entry
    running = await queued(store, 3)
    await end(store, clock, running, "PENDING")
    clock.advance(100 * 86_400)
    assert await remove(store, clock, database) == 0
    assert await left(store) == [waiting, unfinished.id, running]


async def test_entries_of_a_tenant_under_a_legal_hold_stay(
    store: PostgresStore, clock: FakeClock, database: str
) -> None:
    held, other = await queued(store, 1, "story"), await queued(store, 2)
    for entry in (held, other):
        await end(store, clock, entry)
    await store.legal_holds.set("story", "a lawsuit", ACT)
    clock.advance(8 * 86_400)
    assert await remove(store, clock, database) == 1
    assert await left(store) == [held]


async def test_more_entries_than_a_page_go_in_pages(store: PostgresStore, clock: FakeClock, database: str) -> None:
    for number in range(1, 6):
        await end(store, clock, await queued(store, number))
    clock.advance(8 * 86_400)
    before = clock.now() - WEEK
    seen, after = [], None
    while page := await store.old_entries.page(before, after=after, limit=2):
        seen += [entry.id for entry in page]
        after = page[-1]
    assert seen == await left(store)
