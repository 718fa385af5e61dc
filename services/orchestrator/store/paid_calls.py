"""The journal of paid calls: written in the transaction of the event that it belongs to, never alone."""

from dataclasses import replace
from datetime import datetime
from typing import get_args

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import NotFound, PreconditionFailed
from services.orchestrator.domain.event import (
    Accepted,
    Body,
    Released,
    Rerouted,
    Resumed,
    Retrying,
    Submitting,
    Terminal,
)
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.paid_call import Acceptance, Call, PaidCall, Step, Submission, submission_id
from services.orchestrator.store import row_mapping
from services.orchestrator.store.queue_entries import Queue, enqueue
from services.orchestrator.store.schema import jobs, paid_calls

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


async def keep(
    connection: AsyncConnection, queue: Queue, before: Job, after: Job, body: Body, step: Step | None, now: datetime
) -> None:
    """Stores what an event does to the job's paid call, and puts a job that waits again onto its queue.

    A job that resumes another's work shares that one's call: giving it up gives the other's money back.
    """
    job_id = before.resumes or before.id
    match body, step:
        case Submitting(provider=provider), Submission(model=model):
            await connection.execute(
                sa.insert(paid_calls).values(
                    submission_id=submission_id(before.id, before.attempt),
                    job_id=before.id,
                    attempt=before.attempt,
                    provider=provider,
                    model=model,
                    state="submitting",
                    submit_time=now,
                )
            )
        case Accepted(), Acceptance(external_ref=external_ref):
            await _change(connection, job_id, "accepted", external_ref=external_ref, answer_time=now)
        case Submitting() | Accepted(), _:
            raise TypeError(f"{body!r} cannot be stored with the step {step!r}")
        case Released(), _:
            await _change(connection, job_id, "released", settle_time=now)
            if before.resumes:
                await connection.execute(REFUND, {"id": job_id, "now": now})
        case Resumed() | Rerouted(), _:
            await enqueue(connection, queue, after)
        case Retrying(requeued=True, retry_time=until), _:
            await enqueue(connection, queue, after, until)
        case _, _ if isinstance(body, get_args(Terminal)) and before.call.live and not before.resumes:
            await _change(connection, job_id, "charged", settle_time=now)


async def refund(connection: AsyncConnection, job_id: str, now: datetime) -> tuple[Job, PaidCall]:
    """Gives the price of a job back that ended without its video; the caller commits. See Store.refund."""
    found = (await connection.execute(sa.select(jobs).where(jobs.c.id == job_id))).one_or_none()
    if found is None:
        raise NotFound("job", f"jobs/{job_id}")
    root_id = found.resumes or found.id
    # Whoever resumes it now waits for this lock, and then finds no call to attach to.
    job = row_mapping.job(
        (await connection.execute(sa.select(jobs).where(jobs.c.id == root_id).with_for_update())).one()
    )
    newest = sa.select(paid_calls).where(paid_calls.c.job_id == root_id).order_by(paid_calls.c.attempt.desc()).limit(1)
    row = (await connection.execute(newest)).one_or_none()
    if job.refunded_micros and row is not None:
        return job, row_mapping.paid_call(row)
    if row is None or job.call is not Call.CHARGED or job.state not in (State.FAILED, State.CANCELLED):
        what = f"The job is {job.state.value.upper()}, and was not charged for a task that brought no video."
        raise PreconditionFailed(what, reason="NOT_REFUNDABLE", metadata={"job": f"jobs/{root_id}"})
    fetching = sa.or_(jobs.c.end_time.is_(None), jobs.c.state == State.SUCCEEDED.value)
    resumed = await connection.execute(sa.select(jobs.c.id).where(jobs.c.resumes == root_id, fetching).limit(1))
    if (other := resumed.scalar_one_or_none()) is not None:
        what = f"jobs/{other} fetches its video, or has it."
        raise PreconditionFailed(what, reason="NOT_REFUNDABLE", metadata={"job": f"jobs/{other}"})
    await _change(connection, root_id, "released", settle_time=now)
    await connection.execute(REFUND, {"id": root_id, "now": now})
    return replace(job, refunded_micros=job.price_micros), row_mapping.paid_call(row)


async def holder(connection: AsyncConnection, job_id: str, external_ref: str) -> str:
    """Returns the job that already has a task which the vendor named for another job."""
    mine, other = paid_calls.alias(), paid_calls.alias()
    query = (
        sa.select(other.c.job_id)
        .join(mine, mine.c.provider == other.c.provider)
        .where(mine.c.job_id == job_id, other.c.external_ref == external_ref)
        .limit(1)
    )
    found = (await connection.execute(query)).scalar_one_or_none()
    return f"jobs/{found}" if found else "Another job"


async def _change(connection: AsyncConnection, job_id: str, state: str, **columns: object) -> None:
    live = sa.and_(paid_calls.c.job_id == job_id, paid_calls.c.state != "released")
    changed = await connection.execute(sa.update(paid_calls).where(live).values(state=state, **columns))
    if changed.rowcount != 1:
        raise RuntimeError(f"{changed.rowcount} calls of {job_id} became {state}, not one")
