"""The steps of a paid call: each is written in the transaction of the event that it belongs to, never alone."""

from datetime import datetime
from typing import get_args

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.event import Accepted, Body, Released, Submitting, Terminal
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.paid_call import Acceptance, Step, Submission, submission_id
from services.orchestrator.store import row_mapping, settlement
from services.orchestrator.store.schema import jobs, paid_calls


async def write(connection: AsyncConnection, before: Job, body: Body, step: Step | None, now: datetime) -> None:
    """Stores what an event does to the job's paid call.

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
            await change(connection, job_id, "accepted", external_ref=external_ref, answer_time=now)
        case Submitting() | Accepted(), _:
            raise TypeError(f"{body!r} cannot be stored with the step {step!r}")
        case Released(), _:
            await change(connection, job_id, "released", settle_time=now)
            if before.resumes:
                charged = (await connection.execute(sa.select(jobs).where(jobs.c.id == job_id))).one()
                await settlement.refund(connection, row_mapping.job(charged), now)
        case _, _ if isinstance(body, get_args(Terminal)) and before.call.live and not before.resumes:
            await change(connection, job_id, "charged", settle_time=now)


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


async def change(connection: AsyncConnection, job_id: str, state: str, **columns: object) -> None:
    """Gives the live call of a job a new state."""
    live = sa.and_(paid_calls.c.job_id == job_id, paid_calls.c.state != "released")
    changed = await connection.execute(sa.update(paid_calls).where(live).values(state=state, **columns))
    if changed.rowcount != 1:
        raise RuntimeError(f"{changed.rowcount} calls of {job_id} became {state}, not one")
