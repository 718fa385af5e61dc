"""PostgresStore: the Store port over one PostgreSQL database."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from services.errors import NotFound, PreconditionFailed, RequestIdReused, Unavailable
from services.orchestrator.domain import quota
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.event import Event, FragmentReady
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.ledger import Entry
from services.orchestrator.domain.paid_call import Acceptance, PaidCall, Step
from services.orchestrator.domain.quota import Plan, Usage
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.store import Decide, Recorded, Signal
from services.orchestrator.store import accounts, admission_statement, paid_calls, queue_places, row_mapping, schema
from services.orchestrator.store import event_log as recording
from services.orchestrator.store.database import Database, plain_url
from services.orchestrator.store.notifications import CHANGES, ENTRIES, STOPS, NotificationListener
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.queue_notifier import QueueNotifier

_EVENTS = schema.job_events.c
EVENTS = (
    sa.select(_EVENTS.sequence, _EVENTS.time, _EVENTS.kind, _EVENTS.body)
    .where(_EVENTS.job_id == sa.bindparam("id"), _EVENTS.sequence > sa.bindparam("after"))
    .order_by(_EVENTS.sequence)
    .limit(sa.bindparam("most", type_=sa.BigInteger))
)


class PostgresStore:
    """Everything the core remembers. Use `start` and `stop` around it; one a process."""

    def __init__(self, url: str, *, clock: Clock, queue: Queue, pool_size: int = 10) -> None:
        self._clock = clock
        self._queue = queue
        self.database = Database(url, pool_size=pool_size)
        self._listener = NotificationListener(plain_url(url))
        self._notifier = QueueNotifier(self.database)

    async def start(self) -> None:
        """Connects and begins to listen."""
        await self._listener.start()

    async def stop(self) -> None:
        """Gives back every connection, those of calls that are just ending too."""
        await self._listener.stop()
        await self._notifier.stop()
        await self.database.close()

    async def tenant_of_key(self, key_sha256: str) -> tuple[str, str] | None:
        """See Store."""
        query = (
            sa.select(schema.tenants.c.id, schema.tenants.c.plan)
            .join(schema.api_keys, schema.api_keys.c.tenant == schema.tenants.c.id)
            .where(schema.api_keys.c.sha256 == key_sha256)
        )
        async with self.database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (row.id, row.plan)

    async def put_tenant(self, tenant: str, plan: str, key_sha256: str) -> None:
        """Notes a tenant, or its new plan, and one of its keys. Raises ValueError at an id that cannot be one."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", tenant):  # it becomes a part of blob keys
            raise ValueError(f"a tenant's id is 1 to 63 of a-z, 0-9 and -, not {tenant!r}")
        async with self.database.writing() as connection:
            values = {"id": tenant, "plan": plan}
            await connection.execute(
                insert(schema.tenants).values(values).on_conflict_do_update(index_elements=["id"], set_={"plan": plan})
            )
            await connection.execute(
                insert(schema.api_keys).values(sha256=key_sha256, tenant=tenant).on_conflict_do_nothing()
            )

    async def admit(self, job: Job, fingerprint: str, plan: Plan, backend: str) -> Job:
        """See Store."""
        try:
            async with self.database.direct() as connection:
                if await admission_statement.book(connection, self._queue, job, fingerprint, plan, backend):
                    self._notifier.notify(backend)
                    return replace(job, last_sequence=1)
        except psycopg.IntegrityError as error:
            if "jobs_one_resume" in str(error):
                return await self._resume_of(job.resumes)
            if "jobs_tenant_user_request_id_key" not in str(error):
                raise
        # A repeat gets its first answer even when that answer has used the budget up.
        if (earlier := await self.repeat(job.tenant, job.user, job.request_id, fingerprint)) is not None:
            return earlier
        now, _ = await self.usage(job.tenant, job.user, plan)
        quota.check(plan, now.counting(job.quote_micros), job.quote_micros)
        # Between the refusal and this look somebody gave something back: now it fits.
        raise Unavailable("The budget changed while the job was being admitted. Try again.", reason="BUDGET_CONTENDED")

    async def _resume_of(self, job_id: str) -> Job:
        """Returns the job under way that resumes another."""
        table = schema.jobs
        query = sa.select(table).where(table.c.resumes == job_id, table.c.end_time.is_(None))
        async with self.database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:  # it has ended since
            raise Unavailable("The job was resumed, and has ended just now. Try again.", reason="JOB_CHANGED")
        return row_mapping.job(row)

    async def repeat(self, tenant: str, user: str, request_id: str, fingerprint: str) -> Job | None:
        """See Store."""
        table = schema.jobs
        query = sa.select(table).where(table.c.tenant == tenant, table.c.user == user, table.c.request_id == request_id)
        async with self.database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        if row.fingerprint != fingerprint:
            raise RequestIdReused(metadata={"request_id": request_id, "job": f"jobs/{row.id}"})
        return row_mapping.job(row)

    async def record(
        self, job_id: str, decide: Decide, *, assets: Sequence[Asset] = (), step: Step | None = None
    ) -> Recorded:
        """See Store."""
        try:
            async with self.database.writing() as connection:
                written = await recording.record(
                    connection, self._queue, job_id, decide, assets, step, self._clock.now()
                )
            if written.backend:
                self._notifier.notify(written.backend)
            return written.recorded
        except IntegrityError as error:
            if "paid_calls_provider_external_ref_key" not in str(error.orig) or not isinstance(step, Acceptance):
                raise
            async with self.database.reading() as connection:
                other = await paid_calls.holder(connection, job_id, step.external_ref)
            taken = f"{other} already has this task of the vendor."
            raise PreconditionFailed(taken, reason="REFERENCE_TAKEN", metadata={"job": other}) from error

    async def paid_call(self, job: Job) -> PaidCall | None:
        """See Store."""
        table = schema.paid_calls
        query = sa.select(table).where(table.c.job_id == (job.resumes or job.id), table.c.state != "released")
        async with self.database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else row_mapping.paid_call(row)

    async def refund(self, job_id: str) -> tuple[Job, PaidCall]:
        """See Store."""
        async with self.database.writing() as connection:
            return await paid_calls.refund(connection, job_id, self._clock.now())

    async def reconciling(self, *, after: str, limit: int) -> list[Job]:
        """See Store."""
        table = schema.jobs
        query = sa.select(table).where(table.c.state == State.RECONCILING.value, table.c.id > after)
        async with self.database.reading() as connection:
            return [row_mapping.job(row) for row in await connection.execute(query.order_by(table.c.id).limit(limit))]

    async def count_reconciling(self) -> int:
        """See Store."""
        query = sa.select(sa.func.count()).where(schema.jobs.c.state == State.RECONCILING.value)
        async with self.database.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def job(self, job_id: str, *, tenant: str | None = None, user: str | None = None) -> Job:
        """See Store."""
        table = schema.jobs
        query = sa.select(table).where(table.c.id == job_id)
        if tenant is not None:
            query = query.where(table.c.tenant == tenant, table.c.user == user)
        async with self.database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("job", f"jobs/{job_id}")
        return row_mapping.job(row)

    async def jobs(self, tenant: str, user: str, *, state: State | None, before: str | None, limit: int) -> list[Job]:
        """See Store."""
        table = schema.jobs
        query = sa.select(table).where(table.c.tenant == tenant, table.c.user == user)
        if state is not None:
            query = query.where(table.c.state == state.value)
        if before is not None:
            query = query.where(table.c.id < before)
        async with self.database.reading() as connection:
            result = await connection.execute(query.order_by(table.c.id.desc()).limit(limit))
            return [row_mapping.job(row) for row in result]

    async def events(self, job_id: str, *, after: int, limit: int = 200) -> list[Event]:
        """See Store."""
        asked = {"id": job_id, "after": after, "most": limit}
        async with self.database.reading() as connection:
            return [row_mapping.event_of(row) for row in await connection.execute(EVENTS, asked)]

    async def fragments(self, job_id: str) -> list[FragmentReady]:
        """See Store."""
        table = schema.job_events
        query = (
            sa.select(table.c.body)
            .where(table.c.job_id == job_id, table.c.kind == FragmentReady.__name__)
            .order_by(table.c.sequence)
        )
        async with self.database.reading() as connection:
            return [FragmentReady(**body) for body in (await connection.execute(query)).scalars()]

    def changes(self, job_id: str) -> AbstractAsyncContextManager[Signal]:
        """See Store."""
        return self._listener.subscribe(CHANGES, job_id)

    def stops(self, job_id: str) -> AbstractAsyncContextManager[Signal]:
        """See Store."""
        return self._listener.subscribe(STOPS, job_id)

    def entries(self, backend: str) -> AbstractAsyncContextManager[Signal]:
        """See Store."""
        return self._listener.subscribe(ENTRIES, backend)

    async def overdue(self, now: datetime, *, grace_s: float) -> list[str]:
        """See Store."""
        table = schema.jobs
        waiting = sa.and_(table.c.state == State.QUEUED.value, table.c.expire_time < now)
        begun = sa.and_(
            table.c.state.in_([State.RUNNING.value, State.CANCELLING.value]),
            table.c.expire_time < now - timedelta(seconds=grace_s),
        )
        async with self.database.reading() as connection:
            return list(
                (
                    await connection.execute(
                        sa.select(table.c.id).where(waiting | begun).order_by(table.c.expire_time).limit(500)
                    )
                ).scalars()
            )

    async def queued(self, backend: str) -> int:
        """See Store."""
        table = schema.jobs
        query = (
            sa.select(sa.func.count())
            .select_from(table)
            .where(table.c.state == State.QUEUED.value, table.c.backend == backend)
        )
        async with self.database.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def queue_places(self, job_ids: Sequence[str]) -> Mapping[str, int]:
        """See Store."""
        async with self.database.reading() as connection:
            return await queue_places.queue_places(connection, job_ids)

    async def usage(self, tenant: str, user: str, plan: Plan) -> tuple[Usage, list[Entry]]:
        """See Store."""
        now = self._clock.now()
        async with self.database.reading() as connection:
            return await accounts.usage(connection, tenant, user, plan, now)

    async def put_asset(self, asset: Asset) -> Asset:
        """See Store."""
        async with self.database.writing() as connection:
            await connection.execute(
                insert(schema.assets).values(row_mapping.asset_columns(asset)).on_conflict_do_nothing()
            )
        return await self.asset(asset.sha256, tenant=asset.tenant, user=asset.user)

    async def asset(self, sha256: str, *, tenant: str, user: str) -> Asset:
        """See Store."""
        table = schema.assets
        query = sa.select(table).where(table.c.tenant == tenant, table.c.user == user, table.c.sha256 == sha256)
        async with self.database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("asset", f"assets/{sha256}")
        return row_mapping.asset(row)

    async def check(self) -> None:
        """See Store."""
        async with self.database.reading() as connection:
            await connection.execute(sa.text("SELECT 1"))

    async def audit(self) -> int:
        """Returns how many accounts differ from the sums of their ledger entries and unfinished jobs: 0, always."""
        async with self.database.reading() as connection:
            return await accounts.audit(connection)
