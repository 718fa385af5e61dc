"""The bookings after admission: what a job holds is released or used, and the ledger says so."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain import ledger
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.ledger import Entry
from services.orchestrator.domain.limits.measure import KINDS
from services.orchestrator.store import row_mapping

HOLDS = sa.text("SELECT measures, amounts FROM holds WHERE job_id = :id")

# Sets what a job has used of each hold, the first time or again. Counters are locked in the order of their names, which
# is the order of the arrays.
SETTLE = sa.text("""
WITH entered AS (
    INSERT INTO ledger_entries (reference, kind, tenant, "user", key, model, operation, capability, card_version,
        quote_id, reserved_micros, spent_micros, jobs, video_ms, period_time, time)
    VALUES (:id, :kind, :tenant, :user, :key, :model, :operation, :capability, :card_version, :quote_id,
        :reserved_micros, :spent_micros, :jobs, :video_ms, :period_time, :time)
), to_audit AS (
    INSERT INTO unaudited_settlements (job_id, kind, before) SELECT :id, :kind, settled FROM holds WHERE job_id = :id
), locked AS (
    SELECT counters.id, each.used - coalesce(each.before, 0) AS used,
        CASE WHEN each.before IS NULL THEN each.amount ELSE 0 END AS released
    FROM holds, unnest(counters, amounts, settled, CAST(:used AS bigint[])) WITH ORDINALITY
            AS each (counter, amount, before, used, place)
        JOIN counters ON counters.id = each.counter
    WHERE holds.job_id = :id ORDER BY each.place FOR UPDATE OF counters
), changed AS (
    UPDATE counters SET held = counters.held - locked.released, used = counters.used + locked.used
    FROM locked WHERE counters.id = locked.id
)
UPDATE holds SET settled = CAST(:used AS bigint[]) WHERE job_id = :id
""")

# Some holds, such as those of queued jobs, are released before the job ends.
RELEASE = sa.text("""
WITH locked AS (
    SELECT counters.id, each.amount
    FROM holds, unnest(counters, measures, amounts) WITH ORDINALITY AS each (counter, measure, amount, place)
        JOIN counters ON counters.id = each.counter
    WHERE holds.job_id = :id AND each.measure = ANY(CAST(:measures AS text[]))
    ORDER BY each.place FOR UPDATE OF counters
), changed AS (
    UPDATE counters SET held = counters.held - locked.amount FROM locked WHERE counters.id = locked.id
)
UPDATE holds SET amounts = (
    SELECT array_agg(CASE WHEN each.measure = ANY(CAST(:measures AS text[])) THEN 0 ELSE each.amount END ORDER BY place)
    FROM unnest(measures, amounts) WITH ORDINALITY AS each (measure, amount, place)
)
WHERE job_id = :id AND measures && CAST(:measures AS text[])
""")
UNTIL_START = [kind().key for kind in KINDS.values() if kind.until_start]
REFUNDED = sa.text("UPDATE jobs SET refunded_micros = price_micros WHERE id = :id")


async def start(connection: AsyncConnection, job_id: str) -> None:
    """Releases what a job holds only until its first attempt begins, in the transaction of that."""
    await connection.execute(RELEASE, {"id": job_id, "measures": UNTIL_START})


async def settle(connection: AsyncConnection, job: Job, now: datetime) -> None:
    """Books the charge of a job that ends in this transaction, and releases the rest of its holds."""
    await _book(connection, job, ledger.settlement(job, now))


async def refund(connection: AsyncConnection, job: Job, now: datetime) -> None:
    """Gives the price of a job back. Raises IntegrityError if it was given back before."""
    await connection.execute(REFUNDED, {"id": job.id})
    await _book(connection, ledger.refunded(job), ledger.refund(job, now))


async def _book(connection: AsyncConnection, job: Job, entry: Entry) -> None:
    holds = (await connection.execute(HOLDS, {"id": job.id})).one()
    used = ledger.used(holds.measures, holds.amounts, job)
    await connection.execute(
        SETTLE, row_mapping.entry_columns(entry) | {"id": job.id, "tenant": job.tenant, "used": used}
    )
