"""PostgresJobs: jobs, and the recording of what happens to them."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.errors import NotFound, PreconditionFailed
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.event import Succeeded
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.manifest import Manifest
from services.orchestrator.domain.paid_call import Acceptance, Step
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.jobs import Decide, Recorded
from services.orchestrator.store import event_writer, paid_call_steps, row_mapping, run_rates
from services.orchestrator.store.database import Database
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.queue_notifier import QueueNotifier
from services.orchestrator.store.schema import assets, jobs
from services.reasons import RequestReason

OVERDUE = 500
"""Overdue jobs that are returned at once, at most."""
START_TIMEOUT = jobs.c.spec["start_timeout_ms"].astext.cast(sa.BigInteger) * sa.text("interval '1 millisecond'")

SEEN = jobs.c.delete_time.is_(None)
"""Whether its user has not deleted a job."""
STOPPING = (jobs.c.state == State.CANCELLING.value) | (jobs.c.state == State.RECONCILING.value) & jobs.c.stopping
SHOWN = sa.exists().where(
    assets.c.tenant == jobs.c.tenant,
    assets.c.user == jobs.c.user,
    assets.c.sha256 == jobs.c.output["asset"].astext,
    ~assets.c.hidden,
)
"""Whether there is the video of a job."""

log = logging.getLogger(__name__)


class PostgresJobs:
    """The jobs of one database."""

    def __init__(self, database: Database, notifier: QueueNotifier, clock: Clock, queue: Queue) -> None:
        self._database = database
        self._notifier = notifier
        self._clock = clock
        self._queue = queue

    async def record(
        self,
        job_id: str,
        decide: Decide,
        *,
        assets: Sequence[Asset] = (),
        step: Step | None = None,
        manifest: Manifest | None = None,
    ) -> Recorded:
        """Adds the event that `decide` chooses, with all that belongs to it, in one transaction."""
        try:
            async with self._database.writing() as connection:
                written = await event_writer.record(
                    connection, self._queue, job_id, decide, assets, step, self._clock.now(), manifest
                )
            if written.backend:
                self._notifier.notify(written.backend)
            if written.recorded.event is not None and isinstance(written.recorded.event.body, Succeeded):
                await self._measure(job_id)
            return written.recorded
        except IntegrityError as error:
            if "paid_calls_provider_external_ref_key" not in str(error.orig) or not isinstance(step, Acceptance):
                raise
            async with self._database.reading() as connection:
                other = await paid_call_steps.holder(connection, job_id, step.external_ref)
            taken = f"{other} already has this task of the vendor."
            raise PreconditionFailed(taken, reason=RequestReason.REFERENCE_TAKEN, metadata={"job": other}) from error

    async def _measure(self, job_id: str) -> None:
        """Measures the run of an ended job. The job has ended, so that a failure here is no error of the record."""
        try:
            async with self._database.writing() as connection:
                await run_rates.measure(connection, job_id)
        except Exception:
            log.warning("the run of a job could not be measured", extra={"job_id": job_id}, exc_info=True)

    async def get(self, job_id: str, *, tenant: str | None = None, user: str | None = None) -> Job:
        """Returns a job; with tenant and user, only if it is theirs and they have not deleted it. Raises NotFound."""
        query = sa.select(jobs).where(jobs.c.id == job_id)
        if tenant is not None:
            query = query.where(jobs.c.tenant == tenant, jobs.c.user == user, SEEN)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("job", f"jobs/{job_id}")
        return row_mapping.job(row)

    async def page(
        self,
        tenant: str,
        user: str,
        *,
        state: State | None,
        after: str | None,
        limit: int,
        oldest_first: bool = False,
        omit_deleted: bool = False,
    ) -> list[Job]:
        """Returns a user's jobs that follow the job `after`, the newest first unless asked otherwise.

        Those that the user has deleted are left out; by `omit_deleted` also those whose video is in the trash or gone.
        """
        query = sa.select(jobs).where(jobs.c.tenant == tenant, jobs.c.user == user, SEEN)
        if state is not None:
            query = query.where(jobs.c.state == state.value)
        if after is not None:
            query = query.where(jobs.c.id > after if oldest_first else jobs.c.id < after)
        if omit_deleted:
            query = query.where(jobs.c.output.is_(None) | SHOWN)
        order = jobs.c.id.asc() if oldest_first else jobs.c.id.desc()
        async with self._database.reading() as connection:
            result = await connection.execute(query.order_by(order).limit(limit))
            return [row_mapping.job(row) for row in result]

    async def delete(self, job_id: str, *, tenant: str, user: str, stopping: bool = False) -> Job:
        """Deletes an ended job of a user. Returns it. Raises NotFound, PreconditionFailed."""
        which = (jobs.c.id == job_id, jobs.c.tenant == tenant, jobs.c.user == user)
        first = sa.func.coalesce(jobs.c.delete_time, self._clock.now())
        deleted = sa.update(jobs).where(*which, jobs.c.ended | STOPPING if stopping else jobs.c.ended)
        async with self._database.writing() as connection:
            row = (await connection.execute(deleted.values(delete_time=first).returning(jobs))).one_or_none()
            if row is not None:
                return row_mapping.job(row)
            found = (await connection.execute(sa.select(jobs.c.state).where(*which))).scalar_one_or_none()
        if found is None:
            raise NotFound("job", f"jobs/{job_id}")
        what = "The job has not ended. Wait until it has, or stop it."
        metadata = {"job": f"jobs/{job_id}", "state": str(found)}
        raise PreconditionFailed(what, reason=RequestReason.JOB_UNFINISHED, metadata=metadata)

    async def overdue(self, now: datetime, *, grace_s: float) -> list[str]:
        """Returns the ids of jobs whose expire_time has passed, of begun ones `grace_s` ago, or their start timeout."""
        waiting = sa.and_(jobs.c.state == State.QUEUED.value, jobs.c.expire_time < now)
        begun = sa.and_(
            jobs.c.state.in_([State.RUNNING.value, State.CANCELLING.value]),
            jobs.c.expire_time < now - timedelta(seconds=grace_s),
        )
        query = sa.select(jobs.c.id).where(waiting | begun).order_by(jobs.c.expire_time).limit(OVERDUE)
        # A query of its own, so that each has its index.
        unstarted = sa.and_(
            jobs.c.state == State.QUEUED.value,
            jobs.c.spec.has_key("start_timeout_ms"),
            jobs.c.attempt == 0,
            jobs.c.resumes.is_(None),
            jobs.c.create_time + START_TIMEOUT <= now,
        )
        late = sa.select(jobs.c.id).where(unstarted).order_by(jobs.c.create_time).limit(OVERDUE)
        async with self._database.reading() as connection:
            found = [*(await connection.execute(query)).scalars(), *(await connection.execute(late)).scalars()]
        return list(dict.fromkeys(found))
