"""Folding a ledger: the sums stay, the single bookings go, and no month that is in use is touched."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.errors import InvalidInput, NotFound, PreconditionFailed
from services.orchestrator.domain.job import State
from services.orchestrator.domain.limits.calendar import BillingCalendar, Per
from services.orchestrator.domain.retention import Kind
from services.orchestrator.domain.usage import Owner
from services.orchestrator.ports.retention import FoldedMonth
from services.orchestrator.retention.ledger_folding import LedgerFolding
from services.orchestrator.store.postgres_store import PostgresStore
from services.reasons import RetentionReason
from tests.support.builders import FakeClock, numbered
from tests.support.old_jobs import ACT, DAY_S, Bytes, retention, run_job

SUMS = sa.text(
    "SELECT to_char(period_time AT TIME ZONE 'UTC', 'YYYY-MM'), \"user\", model, operation, sum(spent_micros),"
    " sum(reserved_micros), sum(credit_micros), sum(jobs), sum(video_ms) FROM ledger_entries"
    " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
)
ENTRIES = sa.text("SELECT kind, reference, period_time FROM ledger_entries ORDER BY period_time, kind, reference")
OCTOBER = BillingCalendar().period(Per.MONTH, datetime(2025, 10, 15, tzinfo=UTC))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2025, 10, 20, tzinfo=UTC))


@pytest.fixture
def folding(store: PostgresStore, clock: FakeClock) -> LedgerFolding:
    return LedgerFolding(store.old_bookings, store.tenants, clock)


async def rows(store: PostgresStore, query: sa.TextClause) -> list[tuple[object, ...]]:
    async with store.database.reading() as connection:
        return [tuple(row) for row in await connection.execute(query)]


async def make(store: PostgresStore, clock: FakeClock, folder: Path) -> Bytes:
    """Makes jobs of two users in two months, and one that fails."""
    stored = Bytes(folder)
    for number, user in enumerate(["ann", "ann", "ben"], start=1):
        await run_job(store, clock, stored, numbered(number, user=user))
    await run_job(store, clock, stored, numbered(4), state=State.FAILED)
    clock.advance(20 * DAY_S)
    await run_job(store, clock, stored, numbered(5))
    return stored


async def forget_jobs(store: PostgresStore, clock: FakeClock, stored: Bytes) -> None:
    clock.advance(401 * DAY_S)
    await retention(store, stored.blobs, clock).run(Kind.JOBS, 100)


def refused(error: pytest.ExceptionInfo[PreconditionFailed]) -> RetentionReason:
    reason = error.value.reason
    assert isinstance(reason, RetentionReason)
    return reason


async def test_months_are_folded_into_balances_with_the_same_sums(
    store: PostgresStore, clock: FakeClock, folding: LedgerFolding, tmp_path: Path
) -> None:
    await forget_jobs(store, clock, await make(store, clock, tmp_path))
    sums, entries = await rows(store, SUMS), await rows(store, ENTRIES)
    months = [FoldedMonth("2025-10", 8, 2), FoldedMonth("2025-11", 2, 1)]
    assert await folding.fold("studio", "2025-12", dry_run=True) == months
    assert await rows(store, ENTRIES) == entries
    assert await folding.fold("studio", "2025-12", dry_run=False) == months
    assert await rows(store, SUMS) == sums
    assert [kind for kind, *_ in await rows(store, ENTRIES)] == ["balance"] * 3
    assert await store.counter_audits.full(limit=9) == []
    assert await folding.fold("studio", "2025-12", dry_run=False) == []
    newest = await store.ledger.newest(Owner("studio", "ann"), limit=10)
    assert [(entry.kind.value, entry.spent_micros, entry.jobs) for entry in newest] == [
        ("balance", 1000, 1),
        ("balance", 2000, 2),
    ]


async def test_only_months_before_the_given_one_and_only_of_this_tenant_are_folded(
    store: PostgresStore, clock: FakeClock, folding: LedgerFolding, tmp_path: Path
) -> None:
    stored = await make(store, clock, tmp_path)
    await run_job(store, clock, stored, numbered(6, tenant="story"))
    await forget_jobs(store, clock, stored)
    assert [each.month for each in await folding.fold("studio", "2025-11", dry_run=False)] == ["2025-10"]
    kinds = [kind for kind, *_ in await rows(store, ENTRIES)]
    assert sorted(kinds) == ["balance"] * 2 + ["reserve"] * 2 + ["settle"] * 2


async def test_what_is_booked_later_in_a_folded_month_is_folded_into_its_balance(
    store: PostgresStore, clock: FakeClock, folding: LedgerFolding, tmp_path: Path
) -> None:
    await forget_jobs(store, clock, await make(store, clock, tmp_path))
    await folding.fold("studio", "2025-11", dry_run=False)
    async with store.database.writing() as connection:
        await connection.execute(
            sa.text(
                "INSERT INTO ledger_entries SELECT 'late', 'refund', tenant, \"user\", key, model, operation,"
                " '', '', '', 0, -500, 0, -1, 0, NULL, NULL, period_time, time FROM ledger_entries"
                " WHERE \"user\" = 'ann' AND kind = 'balance'"
            )
        )
    sums = await rows(store, SUMS)
    assert await folding.fold("studio", "2025-11", dry_run=False) == [FoldedMonth("2025-10", 3, 2)]
    assert await rows(store, SUMS) == sums


async def test_a_month_with_jobs_that_are_kept_is_not_folded_and_neither_is_any_before_it(
    store: PostgresStore, clock: FakeClock, folding: LedgerFolding, tmp_path: Path
) -> None:
    stored = await make(store, clock, tmp_path)
    clock.advance(385 * DAY_S)  # the jobs of October are gone, that of November is kept
    await retention(store, stored.blobs, clock).run(Kind.JOBS, 100)
    entries = await rows(store, ENTRIES)
    with pytest.raises(PreconditionFailed) as error:
        await folding.fold("studio", "2025-12", dry_run=False)
    assert refused(error) is RetentionReason.MONTH_IN_USE
    assert error.value.metadata == {"month": "2025-11"}
    assert await rows(store, ENTRIES) == entries
    assert len(await folding.fold("studio", "2025-11", dry_run=False)) == 1


async def test_a_month_with_an_open_hold_is_not_folded(
    store: PostgresStore, clock: FakeClock, folding: LedgerFolding, tmp_path: Path
) -> None:
    await run_job(store, clock, Bytes(tmp_path), numbered(1), state=State.RUNNING)
    clock.advance(1000 * DAY_S)
    for month in ({"dry_run": True}, {"dry_run": False}):
        with pytest.raises(PreconditionFailed) as error:
            await store.old_bookings.fold("studio", OCTOBER, **month)
        assert refused(error) is RetentionReason.MONTH_IN_USE


async def test_the_ledger_of_a_tenant_under_a_legal_hold_stays_as_it_is(
    store: PostgresStore, clock: FakeClock, folding: LedgerFolding, tmp_path: Path
) -> None:
    await forget_jobs(store, clock, await make(store, clock, tmp_path))
    await store.legal_holds.set("studio", "a lawsuit", ACT)
    entries = await rows(store, ENTRIES)
    with pytest.raises(PreconditionFailed) as error:
        await folding.fold("studio", "2025-12", dry_run=False)
    assert refused(error) is RetentionReason.LEGAL_HOLD
    with pytest.raises(PreconditionFailed):
        await store.old_bookings.fold("studio", OCTOBER, dry_run=False)
    assert await rows(store, ENTRIES) == entries


@pytest.mark.parametrize("month", ["", "2025", "2025-13", "2025-1", "1999-01", "2025-01-01", "yesterday"])
async def test_what_is_no_month_is_refused(folding: LedgerFolding, month: str) -> None:
    with pytest.raises(InvalidInput) as error:
        await folding.fold("studio", month, dry_run=True)
    assert error.value.violations[0].reason is RetentionReason.MONTH_MALFORMED


async def test_the_current_month_and_unknown_tenants_are_refused(folding: LedgerFolding) -> None:
    assert await folding.fold("studio", "2025-10", dry_run=False) == []
    with pytest.raises(PreconditionFailed) as error:
        await folding.fold("studio", "2025-11", dry_run=False)
    assert refused(error) is RetentionReason.MONTH_NOT_OVER
    with pytest.raises(NotFound):
        await folding.fold("unknown", "2025-10", dry_run=False)


async def test_months_begin_in_the_time_zone_of_the_tenant(
    store: PostgresStore, clock: FakeClock, folding: LedgerFolding, tmp_path: Path
) -> None:
    async with store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE tenants SET time_zone = 'Europe/Berlin'"))
    clock.time, stored = datetime(2025, 10, 31, 23, 30, tzinfo=UTC), Bytes(tmp_path)
    await run_job(store, clock, stored, numbered(1))
    await forget_jobs(store, clock, stored)
    assert await folding.fold("studio", "2025-11", dry_run=False) == []
    assert await folding.fold("studio", "2025-12", dry_run=False) == [FoldedMonth("2025-11", 2, 1)]
    ((_, _, begins),) = await rows(store, ENTRIES)
    assert begins == datetime(2025, 10, 31, 23, tzinfo=UTC)
