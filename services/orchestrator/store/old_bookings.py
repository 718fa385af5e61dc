"""PostgresOldBookings: the bookings of jobs, folded into monthly balances whose sums are the same."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import NotFound, PreconditionFailed
from services.orchestrator.domain.limits.calendar import Period
from services.orchestrator.ports.retention import FoldedMonth
from services.orchestrator.store import rollup_statements, rollups
from services.orchestrator.store.database import Database
from services.reasons import RetentionReason

TENANT = sa.text("SELECT legal_hold FROM tenants WHERE id = :tenant FOR SHARE")
OLDEST = sa.text("""
SELECT period_time FROM ledger_entries
WHERE tenant = :tenant AND kind IN ('reserve', 'settle', 'refund')
    AND (CAST(:since AS timestamptz) IS NULL OR period_time >= :since)
ORDER BY period_time LIMIT 1
""")

OF_MONTH = """
tenant = :tenant AND period_time >= :start AND period_time < :end AND kind IN ('reserve', 'settle', 'refund', 'balance')
"""
KEPT = sa.text(
    f"SELECT EXISTS (SELECT FROM ledger_entries JOIN holds ON holds.job_id = ledger_entries.reference WHERE {OF_MONTH})"
)
SUMS = sa.text(f"""
SELECT "user", key, model, operation, sum(spent_micros), sum(jobs), sum(video_ms), sum(vendor_micros), sum(slot_ms)
FROM ledger_entries
WHERE {OF_MONTH} GROUP BY "user", key, model, operation ORDER BY "user", key, model, operation
""")
COUNT = sa.text(
    f"SELECT count(*) AS entries, coalesce(sum(reserved_micros), 0) AS reserved FROM ledger_entries WHERE {OF_MONTH}"
)
# What was set aside is given back by now, though perhaps under another model: a job that was rerouted. The rollups of
# the days keep what the balances of the month cannot say.
FOLD = sa.text(f"""
WITH folded AS (
    DELETE FROM ledger_entries WHERE {OF_MONTH} RETURNING *
), kept AS (
    {rollup_statements.KEEP_FOLDED}
)
INSERT INTO ledger_entries (reference, kind, tenant, "user", key, model, operation, capability, card_version, quote_id,
    reserved_micros, spent_micros, jobs, video_ms, vendor_micros, slot_ms, period_time, time)
SELECT concat_ws(' ', 'balance', CAST(:tenant AS text), CAST(:month AS text),
        md5(concat_ws(E'\\n', "user", key, model, operation))),
    'balance', :tenant, "user", key, model, operation, '', '', '', 0, sum(spent_micros), sum(jobs), sum(video_ms),
    sum(vendor_micros), sum(slot_ms), :start, max(time)
FROM folded GROUP BY "user", key, model, operation
""")


class PostgresOldBookings:
    """The bookings of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def oldest(self, tenant: str, since: datetime | None) -> datetime | None:
        """Returns the period time of a tenant's oldest booking that is not folded, from `since` on. Raises NotFound."""
        async with self._database.writing() as connection:
            await _demand_no_hold(connection, tenant)
            found = await connection.execute(OLDEST, {"tenant": tenant, "since": since})
            time: datetime | None = found.scalar_one_or_none()
            return time

    async def fold(self, tenant: str, month: Period, *, dry_run: bool) -> FoldedMonth:
        """Replaces the bookings of a month by balances, or only counts them. Raises PreconditionFailed."""
        given: dict[str, Any] = {"tenant": tenant, "start": month.start, "end": month.end}
        async with self._database.writing() as connection:
            await _demand_no_hold(connection, tenant)
            counted = (await connection.execute(COUNT, given)).one()
            if counted.reserved or (await connection.execute(KEPT, given)).scalar_one():
                raise PreconditionFailed(
                    f"Jobs of {month.key} are still kept, so that month cannot be folded.",
                    reason=RetentionReason.MONTH_IN_USE,
                    metadata={"month": month.key},
                )
            sums = (await connection.execute(SUMS, given)).all()
            if not dry_run:
                await connection.execute(rollup_statements.ONE_AT_A_TIME)
                await connection.execute(FOLD, given | {"month": month.key})
                await connection.execute(rollup_statements.REPLACE, rollups.days_of(tenant, month))
                if (await connection.execute(SUMS, given)).all() != sums:
                    raise RuntimeError(f"the sums of {month.key} of {tenant} would change; nothing was folded")
            return FoldedMonth(month.key, counted.entries, len(sums))


async def _demand_no_hold(connection: AsyncConnection, tenant: str) -> None:
    """Holds off a legal hold until the transaction ends. Raises NotFound; PreconditionFailed if there is one."""
    row = (await connection.execute(TENANT, {"tenant": tenant})).one_or_none()
    if row is None:
        raise NotFound("tenant", f"tenants/{tenant}")
    if row.legal_hold:
        held = f"tenants/{tenant} is under a legal hold, so its ledger stays as it is."
        raise PreconditionFailed(held, reason=RetentionReason.LEGAL_HOLD, metadata={"tenant": f"tenants/{tenant}"})
