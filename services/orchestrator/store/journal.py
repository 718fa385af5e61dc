"""The journal of paid calls: written in the transaction of the event that it belongs to, never alone."""

from dataclasses import asdict
from datetime import datetime
from typing import get_args

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.event import Accepted, Body, Released, Rerouted, Resumed, Submitting, Terminal
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.paid_call import submission_id
from services.orchestrator.store.queue import ENQUEUE, Queue
from services.orchestrator.store.schema import paid_calls

# Gives a job's price back to the accounts that paid it, the tenant's first as everywhere.
# Once: the key of the ledger sees to it.
REFUND = sa.text("""
WITH paid AS (
    SELECT id, price_micros, tenant_account, user_account FROM jobs WHERE id = :id
), held AS (
    SELECT accounts.id FROM paid JOIN accounts ON accounts.id IN (paid.tenant_account, paid.user_account)
    ORDER BY accounts."user" FOR UPDATE OF accounts
), given AS (
    INSERT INTO ledger_entries (account, job_id, kind, reserved_micros, spent_micros, time)
    SELECT held.id, paid.id, 'refund', 0, -paid.price_micros, :now FROM held, paid
)
UPDATE accounts SET spent_micros = spent_micros - paid.price_micros FROM held, paid WHERE accounts.id = held.id
""")


async def keep(
    connection: AsyncConnection, queue: Queue, before: Job, after: Job, body: Body, note: str, now: datetime
) -> None:
    """Notes what an event does to the job's paid call, and puts a resumed job onto its queue again.

    `note` is, of Submitting, the model by the name that the provider knows; of Accepted, the vendor's reference.
    A job that resumes another's work shares that one's call: giving it up gives the other's money back.
    """
    job_id = before.resumes or before.id
    match body:
        case Submitting(provider=provider):
            await connection.execute(
                sa.insert(paid_calls).values(
                    submission_id=submission_id(before.id, before.attempt),
                    job_id=before.id,
                    attempt=before.attempt,
                    provider=provider,
                    model=note,
                    state="submitting",
                    submit_time=now,
                )
            )
        case Accepted():
            await _change(connection, job_id, "accepted", external_ref=note, answer_time=now)
        case Released():
            await _change(connection, job_id, "released", settle_time=now)
            if before.resumes:
                await connection.execute(REFUND, {"id": job_id, "now": now})
        case Resumed() | Rerouted():
            await connection.execute(ENQUEUE, asdict(queue) | {"id": before.id, "entry": after.workflow})
        case _ if isinstance(body, get_args(Terminal)) and before.call.live and not before.resumes:
            await _change(connection, job_id, "charged", settle_time=now)


async def _change(connection: AsyncConnection, job_id: str, state: str, **columns: object) -> None:
    live = sa.and_(paid_calls.c.job_id == job_id, paid_calls.c.state != "released")
    changed = await connection.execute(sa.update(paid_calls).where(live).values(state=state, **columns))
    if changed.rowcount != 1:
        raise RuntimeError(f"{changed.rowcount} calls of {job_id} became {state}, not one")
