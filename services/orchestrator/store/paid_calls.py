"""PostgresPaidCalls: the paid calls of jobs, and what is done about them after their jobs have ended."""

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import NotFound, PreconditionFailed
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.paid_call import Call, OwedCall, PaidCall
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.paid_calls import Refund
from services.orchestrator.store import paid_call_steps, row_mapping, settlement
from services.orchestrator.store.database import Database
from services.orchestrator.store.schema import jobs, paid_calls
from services.reasons import RequestReason


class PostgresPaidCalls:
    """The paid calls of one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def of_job(self, job: Job) -> PaidCall | None:
        """Returns the call of a job, or of the job that it resumes, that costs or may cost money; None without one."""
        query = sa.select(paid_calls).where(
            paid_calls.c.job_id == (job.resumes or job.id), paid_calls.c.state != "released"
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else row_mapping.paid_call(row)

    async def refund(self, job_id: str) -> Refund:
        """Gives a job's price back, once, that ended without its video; of one that resumes another, that one's price.

        Raises NotFound; PreconditionFailed when there is nothing to give back.
        """
        async with self._database.writing() as connection:
            return await _refund(connection, job_id, self._clock.now())

    async def reconciling(self, *, after: str, limit: int) -> list[Job]:
        """Returns jobs whose paid call has an unknown outcome, with ids above `after`, the oldest first."""
        query = sa.select(jobs).where(jobs.c.state == State.RECONCILING.value, jobs.c.id > after)
        async with self._database.reading() as connection:
            return [row_mapping.job(row) for row in await connection.execute(query.order_by(jobs.c.id).limit(limit))]

    async def of_provider(
        self, provider: str, since: datetime, until: datetime, *, after: PaidCall | None, limit: int
    ) -> list[OwedCall]:
        """Returns calls that were submitted in a period, after one of them, the oldest first."""
        columns = paid_calls.c
        query = sa.select(paid_calls, jobs.c.tenant, jobs.c.price_micros).join(jobs, jobs.c.id == columns.job_id)
        query = query.where(columns.provider == provider, columns.submit_time >= since, columns.submit_time < until)
        if after is not None:
            place = sa.tuple_(sa.literal(after.submit_time), sa.literal(after.submission_id))
            query = query.where(sa.tuple_(columns.submit_time, columns.submission_id) > place)
        query = query.order_by(columns.submit_time, columns.submission_id).limit(limit)
        async with self._database.reading() as connection:
            return [
                OwedCall(row_mapping.paid_call(row), row.tenant, 0 if row.state == "released" else row.price_micros)
                for row in await connection.execute(query)
            ]

    async def count_reconciling(self) -> int:
        """Returns how many jobs have a paid call with an unknown outcome."""
        query = sa.select(sa.func.count()).where(jobs.c.state == State.RECONCILING.value)
        async with self._database.reading() as connection:
            return int((await connection.execute(query)).scalar_one())


async def _refund(connection: AsyncConnection, job_id: str, now: datetime) -> Refund:
    found = (await connection.execute(sa.select(jobs).where(jobs.c.id == job_id))).one_or_none()
    if found is None:
        raise NotFound("job", f"jobs/{job_id}")
    root_id = found.resumes or found.id
    # A resume waits for this lock, and then finds no call to attach to.
    job = row_mapping.job(
        (await connection.execute(sa.select(jobs).where(jobs.c.id == root_id).with_for_update())).one()
    )
    newest = sa.select(paid_calls).where(paid_calls.c.job_id == root_id).order_by(paid_calls.c.attempt.desc()).limit(1)
    row = (await connection.execute(newest)).one_or_none()
    if job.refunded_micros and row is not None:
        return Refund(job, row_mapping.paid_call(row))
    if row is None or job.call is not Call.CHARGED or job.state not in (State.FAILED, State.CANCELLED):
        what = f"The job is {job.state.value.upper()}, and was not charged for a task that brought no video."
        raise PreconditionFailed(what, reason=RequestReason.NOT_REFUNDABLE, metadata={"job": f"jobs/{root_id}"})
    fetching = sa.or_(jobs.c.end_time.is_(None), jobs.c.state == State.SUCCEEDED.value)
    resumed = await connection.execute(sa.select(jobs.c.id).where(jobs.c.resumes == root_id, fetching).limit(1))
    if (other := resumed.scalar_one_or_none()) is not None:
        what = f"jobs/{other} fetches its video, or has it."
        raise PreconditionFailed(what, reason=RequestReason.NOT_REFUNDABLE, metadata={"job": f"jobs/{other}"})
    await paid_call_steps.change(connection, root_id, "released", settle_time=now)
    await settlement.refund(connection, job, now)
    return Refund(replace(job, refunded_micros=job.price_micros), row_mapping.paid_call(row))
