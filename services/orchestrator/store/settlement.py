"""The bookings after admission: the settlement of a job that ended, and the refund of its price."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

# Settles every hold of a job: gives back what was set aside and books the charge, in the order of the admission.
SETTLE = sa.text("""
WITH held AS (
    SELECT accounts.id, holds.amount_micros FROM holds JOIN accounts ON accounts.id = holds.account
    WHERE holds.job_id = :id AND holds.settled_micros IS NULL ORDER BY accounts."user" FOR UPDATE OF accounts
), entered AS (
    INSERT INTO ledger_entries (account, job_id, kind, reserved_micros, spent_micros, time)
    SELECT id, :id, 'settle', -amount_micros, :charged, :now FROM held
), settled AS (
    UPDATE holds SET settled_micros = :charged FROM held WHERE holds.job_id = :id AND holds.account = held.id
)
UPDATE accounts SET reserved_micros = reserved_micros - held.amount_micros, spent_micros = spent_micros + :charged,
    active_jobs = active_jobs - 1
FROM held WHERE accounts.id = held.id
""")

# Gives a job's price back to the accounts that paid it, and stores it on the job. The ledger's key allows it only once.
REFUND = sa.text("""
WITH paid AS (
    UPDATE jobs SET refunded_micros = price_micros WHERE id = :id RETURNING id, price_micros
), held AS (
    SELECT accounts.id FROM holds JOIN accounts ON accounts.id = holds.account
    WHERE holds.job_id = :id ORDER BY accounts."user" FOR UPDATE OF accounts
), given AS (
    INSERT INTO ledger_entries (account, job_id, kind, reserved_micros, spent_micros, time)
    SELECT held.id, paid.id, 'refund', 0, -paid.price_micros, :now FROM held, paid
)
UPDATE accounts SET spent_micros = spent_micros - paid.price_micros FROM held, paid WHERE accounts.id = held.id
""")


async def settle(connection: AsyncConnection, job_id: str, charged_micros: int | None, now: datetime) -> None:
    """Books the charge of a job that ends in this transaction, and gives back the rest of its holds."""
    await connection.execute(SETTLE, {"id": job_id, "charged": charged_micros, "now": now})


async def refund(connection: AsyncConnection, job_id: str, now: datetime) -> None:
    """Gives the price of a job back. Raises IntegrityError if it was given back before."""
    await connection.execute(REFUND, {"id": job_id, "now": now})
