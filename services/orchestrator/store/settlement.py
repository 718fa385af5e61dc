"""The bookings after admission: what a job holds is released or used, and the ledger says so."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain import ledger
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.ledger import Entry
from services.orchestrator.domain.limits.measure import KINDS
from services.orchestrator.store import row_mapping

# The time of an attempt is from its start to its end, or to the last event of one that was lost.
SLOT_MS = """
SELECT round(extract(epoch FROM sum(ran)) * 1000) FROM (
    SELECT max(time) - min(time) AS ran FROM (
        SELECT kind, time, count(*) FILTER (WHERE kind = 'Started') OVER (ORDER BY sequence) AS attempt,
            count(*) FILTER (WHERE kind IN ('Retrying', 'Rerouted')) OVER (
                ORDER BY sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS ended
        FROM job_events WHERE job_id = holds.job_id
    ) AS numbered GROUP BY attempt, ended HAVING bool_or(kind = 'Started')
) AS attempts
"""
HOLDS = sa.text(f"""
SELECT measures, amounts, CASE WHEN CAST(:local AS boolean) THEN coalesce(({SLOT_MS}), 0) ELSE 0 END AS slot_ms
FROM holds WHERE job_id = :id
""")

# Sets what a job has used of each hold, the first time or again. Counters are locked in the order of their names, which
# is the order of the arrays.
SETTLE = sa.text("""
WITH entered AS (
    INSERT INTO ledger_entries (reference, kind, tenant, "user", key, model, operation, capability, card_version,
        quote_id, reserved_micros, spent_micros, jobs, video_ms, vendor_micros, slot_ms, period_time, time)
    VALUES (:id, :kind, :tenant, :user, :key, :model, :operation, :capability, :card_version, :quote_id,
        :reserved_micros, :spent_micros, :jobs, :video_ms, :vendor_micros, :slot_ms, :period_time, :time)
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
    holds = (await connection.execute(HOLDS, {"id": job.id, "local": job.local})).one()
    await _book(connection, job, holds, ledger.settlement(job, now, int(holds.slot_ms)))


async def refund(connection: AsyncConnection, job: Job, now: datetime) -> None:
    """Gives the price of a job back. Raises IntegrityError if it was given back before."""
    await connection.execute(REFUNDED, {"id": job.id})
    holds = (await connection.execute(HOLDS, {"id": job.id, "local": False})).one()
    await _book(connection, ledger.refunded(job), holds, ledger.refund(job, now))


async def _book(connection: AsyncConnection, job: Job, holds: sa.Row[Any], entry: Entry) -> None:
    used = ledger.used(holds.measures, holds.amounts, job)
    await connection.execute(
        SETTLE, row_mapping.entry_columns(entry) | {"id": job.id, "tenant": job.tenant, "used": used}
    )
