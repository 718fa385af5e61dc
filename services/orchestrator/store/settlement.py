"""The bookings after admission: the settlement of a job that ended, and the refund of its price."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

# Gives back what was set aside and books the charge, on both accounts, the tenant's first as everywhere.
SETTLE = sa.text("""
WITH held AS (
    SELECT accounts.id FROM jobs JOIN accounts ON accounts.id IN (jobs.tenant_account, jobs.user_account)
    WHERE jobs.id = :id ORDER BY accounts."user" FOR UPDATE OF accounts
), settled AS (
    INSERT INTO ledger_entries (account, job_id, kind, reserved_micros, spent_micros, time)
    SELECT id, :id, 'settle', -CAST(:quote AS bigint), :charged, :now FROM held
)
UPDATE accounts SET reserved_micros = reserved_micros - :quote, spent_micros = spent_micros + :charged,
    active_jobs = active_jobs - 1
FROM held WHERE accounts.id = held.id
""")

# Gives a job's price back to the accounts that paid it, the tenant's first as everywhere, and says so on the job.
# Once: the key of the ledger sees to it.
REFUND = sa.text("""
WITH paid AS (
    UPDATE jobs SET refunded_micros = price_micros WHERE id = :id
    RETURNING id, price_micros, tenant_account, user_account
), held AS (
    SELECT accounts.id FROM paid JOIN accounts ON accounts.id IN (paid.tenant_account, paid.user_account)
    ORDER BY accounts."user" FOR UPDATE OF accounts
), given AS (
    INSERT INTO ledger_entries (account, job_id, kind, reserved_micros, spent_micros, time)
    SELECT held.id, paid.id, 'refund', 0, -paid.price_micros, :now FROM held, paid
)
UPDATE accounts SET spent_micros = spent_micros - paid.price_micros FROM held, paid WHERE accounts.id = held.id
""")


async def settle(
    connection: AsyncConnection, job_id: str, *, quote_micros: int, charged_micros: int | None, now: datetime
) -> None:
    """Books the charge of a job that ends in this transaction, and gives back the rest of its quote."""
    given = {"id": job_id, "quote": quote_micros, "charged": charged_micros, "now": now}
    await connection.execute(SETTLE, given)


async def refund(connection: AsyncConnection, job_id: str, now: datetime) -> None:
    """Gives the price of a job back. Raises IntegrityError if it was given back before."""
    await connection.execute(REFUND, {"id": job_id, "now": now})
