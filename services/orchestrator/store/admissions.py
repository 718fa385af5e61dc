"""PostgresAdmissions: the admission of jobs, and its answers where the statement admitted none."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import NotFound, RequestIdReused, Unavailable
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits import denial
from services.orchestrator.domain.limits.asked_limit import ask
from services.orchestrator.domain.limits.hold import demand_of, holds_of
from services.orchestrator.domain.limits.measure import Demand
from services.orchestrator.domain.turns import TenantShare
from services.orchestrator.ports.admissions import NewJob
from services.orchestrator.ports.counters import Counters
from services.orchestrator.store import admission_statement, batch_admission, row_mapping
from services.orchestrator.store.database import Database
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.queue_notifier import QueueNotifier
from services.orchestrator.store.schema import jobs
from services.reasons import RequestReason


class PostgresAdmissions:
    """Admits jobs into one database."""

    def __init__(self, database: Database, notifier: QueueNotifier, counters: Counters, queue: Queue) -> None:
        self._database = database
        self._notifier = notifier
        self._counters = counters
        self._queue = queue

    async def admit(self, job: Job, fingerprint: str, caller: Caller, backend: str) -> Job:
        """Books, stores and queues a job in one transaction, or leaves no trace."""
        if job.resumes:
            return await self._admit_resume(NewJob(job, fingerprint, backend), caller)
        holds, share = holds_of(job, caller), TenantShare.of(caller.tenant, caller.plan)
        try:
            async with self._database.direct() as connection:
                if await admission_statement.book(connection, self._queue, job, fingerprint, holds, backend, share):
                    self._notifier.notify(backend)
                    return replace(job, last_sequence=1)
        except psycopg.IntegrityError as error:
            if "jobs_tenant_user_request_id_key" not in str(error):
                raise
        # A repeat gets its first answer even when that answer has used the budget up.
        if (earlier := await self.repeat(job.tenant, job.user, job.request_id, fingerprint)) is not None:
            return earlier
        return await self._refuse([demand_of(job)], caller)

    async def _admit_resume(self, new: NewJob, caller: Caller) -> Job:
        """Admits a job that resumes another, or returns the one under way that does.

        It locks the rows of both jobs before the counters, as the end of a job and a refund do.
        """
        job = new.job
        try:
            async with self._database.writing() as connection:
                root = sa.select(jobs.c.id).where(jobs.c.id == job.resumes).with_for_update(read=True, key_share=True)
                if (await connection.execute(root)).one_or_none() is None:  # retention has just removed it
                    raise NotFound("job", f"jobs/{job.resumes}")
                under_way = sa.select(jobs).where(jobs.c.resumes == job.resumes, jobs.c.end_time.is_(None))
                running = (await connection.execute(under_way.with_for_update(read=True))).one_or_none()
                if running is not None:
                    return row_mapping.job(running)
                share = TenantShare.of(caller.tenant, caller.plan)
                booked = await batch_admission.book_all(connection, self._queue, [(new, holds_of(job, caller))], share)
                if not booked:
                    await connection.rollback()
        except (IntegrityError, psycopg.IntegrityError) as error:
            if "jobs_one_resume" in str(error):
                return await self._resume_of(job.resumes)
            if "jobs_tenant_user_request_id_key" not in str(error):
                raise
            booked = False
        if booked:
            self._notifier.notify(new.backend)
            return replace(job, last_sequence=1)
        earlier = await self.repeat(job.tenant, job.user, job.request_id, new.fingerprint)
        return earlier or await self._refuse([demand_of(job)], caller)

    async def _refuse(self, demands: Sequence[Demand], caller: Caller) -> NoReturn:
        """Raises QuotaExceeded with every limit that does not allow jobs together."""
        asked = ask(await self._counters.status(caller), demands)
        denial.check(asked, caller.plan, caller.calendar.time_zone)
        # Between the refusal and this look somebody gave something back: now it fits.
        raise Unavailable(
            "A limit changed while the job was being admitted. Try again.", reason=RequestReason.BUDGET_CONTENDED
        )

    async def admit_all(self, new: Sequence[NewJob], caller: Caller) -> list[Job]:
        """Books, stores and queues jobs of the caller in one transaction, or leaves no trace."""
        holds = {each.job.id: holds_of(each.job, caller) for each in new}
        async with self._database.writing() as connection:
            await batch_admission.lock_counters(connection, caller.tenant, list(holds.values()))
            # No other submission of the tenant is between this look and the commit.
            earlier = await self._earlier(connection, new, caller)
            fresh = [each for each in new if each.job.request_id not in earlier]
            share = TenantShare.of(caller.tenant, caller.plan)
            booked = await batch_admission.book_all(
                connection, self._queue, [(each, holds[each.job.id]) for each in fresh], share
            )
            if not booked:
                await connection.rollback()
        if not booked:
            await self._refuse([demand_of(each.job) for each in fresh], caller)
        for backend in {each.backend for each in fresh}:
            self._notifier.notify(backend)
        return [earlier.get(each.job.request_id) or replace(each.job, last_sequence=1) for each in new]

    async def _earlier(self, connection: AsyncConnection, new: Sequence[NewJob], caller: Caller) -> dict[str, Job]:
        """Returns the jobs that were admitted before, by request_id. Raises RequestIdReused."""
        fingerprints = {each.job.request_id: each.fingerprint for each in new}
        query = sa.select(jobs).where(
            jobs.c.tenant == caller.tenant, jobs.c.user == caller.user, jobs.c.request_id.in_(list(fingerprints))
        )
        found = list(await connection.execute(query))
        return {row.request_id: _same_request(row, fingerprints[row.request_id]) for row in found}

    async def repeat(self, tenant: str, user: str, request_id: str, fingerprint: str) -> Job | None:
        """Returns the job that a request_id made, if it did. Raises RequestIdReused when the fingerprint differs."""
        query = sa.select(jobs).where(jobs.c.tenant == tenant, jobs.c.user == user, jobs.c.request_id == request_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _same_request(row, fingerprint)

    async def _resume_of(self, job_id: str) -> Job:
        """Returns the job under way that resumes another."""
        query = sa.select(jobs).where(jobs.c.resumes == job_id, jobs.c.end_time.is_(None))
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:  # it has ended since
            raise Unavailable(
                "The job was resumed, and has ended just now. Try again.", reason=RequestReason.JOB_CHANGED
            )
        return row_mapping.job(row)


def _same_request(row: sa.Row[Any], fingerprint: str) -> Job:
    """Returns the job of a row. Raises RequestIdReused when it was made by a request with another fingerprint."""
    if row.fingerprint != fingerprint:
        raise RequestIdReused(metadata={"request_id": row.request_id, "job": f"jobs/{row.id}"})
    return row_mapping.job(row)
