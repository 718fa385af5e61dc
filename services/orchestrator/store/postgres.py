"""PostgresStore: the Store port over one PostgreSQL database."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from services.errors import NotFound, PreconditionFailed, QuotaExceeded, RequestIdReused, Unavailable
from services.orchestrator.domain import quota
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.event import Event, FragmentReady
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.ledger import Entry
from services.orchestrator.domain.paid_call import PaidCall
from services.orchestrator.domain.quota import Account, Plan, Usage
from services.orchestrator.ports.store import Decide, Signal
from services.orchestrator.ports.system import Clock
from services.orchestrator.store import admission, rows, schema
from services.orchestrator.store import record as recording
from services.orchestrator.store.listener import CHANGES, STOPS, Listener
from services.orchestrator.store.queue import Queue

PASSING = ("08", "25006", "40", "53", "57")
"""SQLSTATEs, or their classes, of what passes: no connection, read-only after a failover, conflicts, full, ending."""
STOP_LOOKS, STOP_LOOK_S = 100, 0.02
"""How long `stop` waits for connections that are in use: two seconds."""


AUDIT = sa.text("""
SELECT count(*) FROM accounts
LEFT JOIN LATERAL (
    SELECT coalesce(sum(reserved_micros), 0) AS reserved, coalesce(sum(spent_micros), 0) AS spent,
        count(*) FILTER (WHERE kind = 'reserve') - count(*) FILTER (WHERE kind = 'settle') AS active
    FROM ledger_entries WHERE account = accounts.id
) AS booked ON true
WHERE (reserved_micros, spent_micros, active_jobs) IS DISTINCT FROM (booked.reserved, booked.spent, booked.active)
""")


def driver_url(url: str) -> str:
    """Returns a PostgreSQL URL with psycopg named as its driver, as SQLAlchemy wants it."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql+psycopg://", url)


def plain_url(url: str) -> str:
    """Returns a PostgreSQL URL as psycopg itself wants it."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)


def migrate(url: str) -> None:
    """Brings the schema to the newest version. Several processes may do so at once: one works, the others wait.

    Raises: Unavailable.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    try:
        engine = sa.create_engine(driver_url(url), poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('i2v-migrations'))"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (OperationalError, ArgumentError) as error:
        why = str(getattr(error, "orig", error)).splitlines()[0]
        raise Unavailable(f"The database cannot be used: {why}", reason="DATABASE_UNAVAILABLE") from error


class PostgresStore:
    """Everything the core remembers. Use `start` and `stop` around it; one a process."""

    def __init__(self, url: str, *, clock: Clock, queue: Queue, pool_size: int = 10) -> None:
        self._clock = clock
        self._queue = queue
        self._engine = create_async_engine(
            driver_url(url), pool_size=pool_size, max_overflow=0, pool_timeout=10, pool_pre_ping=False
        )
        self._listener = Listener(plain_url(url))

    async def start(self) -> None:
        """Connects and begins to listen."""
        await self._listener.start()

    async def stop(self) -> None:
        """Gives back every connection, those of calls that are just ending too."""
        await self._listener.stop()
        pool = self._engine.pool
        for _ in range(STOP_LOOKS):
            if not isinstance(pool, sa.QueuePool) or pool.checkedout() == 0:
                break
            await asyncio.sleep(STOP_LOOK_S)
        await self._engine.dispose()

    async def tenant_of_key(self, key_sha256: str) -> tuple[str, str] | None:
        """See Store."""
        query = (
            sa.select(schema.tenants.c.id, schema.tenants.c.plan)
            .join(schema.api_keys, schema.api_keys.c.tenant == schema.tenants.c.id)
            .where(schema.api_keys.c.sha256 == key_sha256)
        )
        async with self.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (row.id, row.plan)

    async def put_tenant(self, tenant: str, plan: str, key_sha256: str) -> None:
        """Notes a tenant, or its new plan, and one of its keys. Raises ValueError at an id that cannot be one."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", tenant):  # it becomes a part of blob keys
            raise ValueError(f"a tenant's id is 1 to 63 of a-z, 0-9 and -, not {tenant!r}")
        async with self.writing() as connection:
            values = {"id": tenant, "plan": plan}
            await connection.execute(
                insert(schema.tenants).values(values).on_conflict_do_update(index_elements=["id"], set_={"plan": plan})
            )
            await connection.execute(
                insert(schema.api_keys).values(sha256=key_sha256, tenant=tenant).on_conflict_do_nothing()
            )

    async def admit(self, job: Job, fingerprint: str, plan: Plan, backend: str) -> Job:
        """See Store."""
        refusal: QuotaExceeded | None = None
        try:
            async with self.writing() as connection:
                usage = await admission.book(connection, self._queue, job, fingerprint, plan, backend)
                if usage is not None:
                    quota.check(plan, usage, job.quote_micros)
                    await connection.commit()
                    return replace(job, last_sequence=1)
                await connection.rollback()
        except IntegrityError as error:
            if "jobs_one_resume" in str(error.orig):
                return await self._resume_of(job.resumes)
            if "jobs_tenant_user_request_id_key" not in str(error.orig):
                raise
        except QuotaExceeded as error:
            refusal = error
        # A repeat gets its first answer even when that answer has used the budget up.
        if (earlier := await self.repeat(job.tenant, job.user, job.request_id, fingerprint)) is not None:
            return earlier
        if refusal is not None:
            raise refusal
        now, _ = await self.usage(job.tenant, job.user, plan)
        quota.check(plan, now.counting(job.quote_micros), job.quote_micros)
        # Between the refusal and this look somebody gave something back: now it fits.
        raise Unavailable("The budget changed while the job was being admitted. Try again.", reason="BUDGET_CONTENDED")

    async def _resume_of(self, job_id: str) -> Job:
        """Returns the job under way that resumes another."""
        table = schema.jobs
        query = sa.select(table).where(table.c.resumes == job_id, table.c.end_time.is_(None))
        async with self.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:  # it has ended since
            raise Unavailable("The job was resumed, and has ended just now. Try again.", reason="JOB_CHANGED")
        return rows.job(row)

    async def repeat(self, tenant: str, user: str, request_id: str, fingerprint: str) -> Job | None:
        """See Store."""
        table = schema.jobs
        query = sa.select(table).where(table.c.tenant == tenant, table.c.user == user, table.c.request_id == request_id)
        async with self.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        if row.fingerprint != fingerprint:
            raise RequestIdReused(metadata={"request_id": request_id, "job": f"jobs/{row.id}"})
        return rows.job(row)

    async def record(self, job_id: str, decide: Decide, *, assets: Sequence[Asset] = (), note: str = "") -> Job:
        """See Store."""
        try:
            async with self.writing() as connection:
                return await recording.record(connection, self._queue, job_id, decide, assets, note, self._clock.now())
        except IntegrityError as error:
            if "paid_calls_provider_external_ref_key" not in str(error.orig):
                raise
            taken = "Another job has this task of the vendor's already."
            raise PreconditionFailed(taken, reason="REFERENCE_TAKEN") from error

    async def paid_call(self, job: Job) -> PaidCall | None:
        """See Store."""
        table = schema.paid_calls
        query = sa.select(table).where(table.c.job_id == (job.resumes or job.id), table.c.state != "released")
        async with self.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else rows.paid_call(row)

    async def reconciling(self, limit: int = 500) -> list[Job]:
        """See Store."""
        table = schema.jobs
        query = sa.select(table).where(table.c.state == State.RECONCILING.value).order_by(table.c.create_time)
        async with self.reading() as connection:
            return [rows.job(row) for row in await connection.execute(query.limit(limit))]

    async def job(self, job_id: str, *, tenant: str | None = None, user: str | None = None) -> Job:
        """See Store."""
        table = schema.jobs
        query = sa.select(table).where(table.c.id == job_id)
        if tenant is not None:
            query = query.where(table.c.tenant == tenant, table.c.user == user)
        async with self.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("job", f"jobs/{job_id}")
        return rows.job(row)

    async def jobs(self, tenant: str, user: str, *, state: State | None, before: str | None, limit: int) -> list[Job]:
        """See Store."""
        table = schema.jobs
        query = sa.select(table).where(table.c.tenant == tenant, table.c.user == user)
        if state is not None:
            query = query.where(table.c.state == state.value)
        if before is not None:
            query = query.where(table.c.id < before)
        async with self.reading() as connection:
            result = await connection.execute(query.order_by(table.c.id.desc()).limit(limit))
            return [rows.job(row) for row in result]

    async def events(self, job_id: str, *, after: int, limit: int = 200) -> list[Event]:
        """See Store."""
        table = schema.job_events
        query = (
            sa.select(table.c.sequence, table.c.time, table.c.kind, table.c.body)
            .where(table.c.job_id == job_id, table.c.sequence > after)
            .order_by(table.c.sequence)
            .limit(limit)
        )
        async with self.reading() as connection:
            return [rows.event_of(row) for row in await connection.execute(query)]

    async def fragments(self, job_id: str) -> list[FragmentReady]:
        """See Store."""
        table = schema.job_events
        query = (
            sa.select(table.c.body)
            .where(table.c.job_id == job_id, table.c.kind == FragmentReady.__name__)
            .order_by(table.c.sequence)
        )
        async with self.reading() as connection:
            return [FragmentReady(**body) for body in (await connection.execute(query)).scalars()]

    def changes(self, job_id: str) -> AbstractAsyncContextManager[Signal]:
        """See Store."""
        return self._listener.subscribe(CHANGES, job_id)

    def stops(self, job_id: str) -> AbstractAsyncContextManager[Signal]:
        """See Store."""
        return self._listener.subscribe(STOPS, job_id)

    async def overdue(self, now: datetime, *, grace_s: float) -> list[str]:
        """See Store."""
        table = schema.jobs
        waiting = sa.and_(table.c.state == State.QUEUED.value, table.c.expire_time < now)
        begun = sa.and_(
            table.c.state.in_([State.RUNNING.value, State.CANCELLING.value]),
            table.c.expire_time < now - timedelta(seconds=grace_s),
        )
        async with self.reading() as connection:
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
        async with self.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def place(self, job_id: str) -> int:
        """See Store."""
        asked, others = schema.jobs.alias("asked"), schema.jobs.alias("others")
        queued = State.QUEUED.value
        query = (
            sa.select(sa.func.count())
            .select_from(asked.join(others, others.c.backend == asked.c.backend))
            .where(asked.c.id == job_id, asked.c.state == queued, others.c.state == queued, others.c.id <= asked.c.id)
        )
        async with self.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def usage(self, tenant: str, user: str, plan: Plan) -> tuple[Usage, list[Entry]]:
        """See Store."""
        now = self._clock.now()
        table, ledger = schema.accounts, schema.ledger_entries
        query = sa.select(table).where(table.c.tenant == tenant, table.c.user.in_(["", user]))
        async with self.reading() as connection:
            held = list(await connection.execute(query))
            found = {row.user: row for row in held if row.period == quota.period(now)}
            entries: list[Entry] = []
            if user in found:
                newest = sa.select(ledger).where(ledger.c.account == found[user].id)
                newest = newest.order_by(ledger.c.time.desc(), ledger.c.kind.desc()).limit(100)
                entries = [rows.entry(row) for row in await connection.execute(newest)]

        def account(name: str, budget: int) -> Account:
            # A job that was begun in an earlier period is unfinished in this one too.
            active = sum(row.active_jobs for row in held if row.user == name)
            if name not in found:
                return Account(budget, active_jobs=active)
            # The row carries the budget of the last admission; the plan's is the one that counts from now on.
            return Account(budget, found[name].reserved_micros, found[name].spent_micros, active)

        tenants, users = account("", plan.tenant_budget_micros), account(user, plan.user_budget_micros)
        return Usage(tenants, users, quota.period_end(now)), entries

    async def put_asset(self, asset: Asset) -> Asset:
        """See Store."""
        async with self.writing() as connection:
            await connection.execute(insert(schema.assets).values(rows.asset_columns(asset)).on_conflict_do_nothing())
        return await self.asset(asset.sha256, tenant=asset.tenant, user=asset.user)

    async def asset(self, sha256: str, *, tenant: str, user: str) -> Asset:
        """See Store."""
        table = schema.assets
        query = sa.select(table).where(table.c.tenant == tenant, table.c.user == user, table.c.sha256 == sha256)
        async with self.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("asset", f"assets/{sha256}")
        return rows.asset(row)

    async def check(self) -> None:
        """See Store."""
        async with self.reading() as connection:
            await connection.execute(sa.text("SELECT 1"))

    async def audit(self) -> int:
        """Returns how many accounts differ from the sums of their ledger entries and unfinished jobs: 0, always."""
        async with self.reading() as connection:
            return int((await connection.execute(AUDIT)).scalar_one())

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Gives a connection for single statements. Raises Unavailable."""
        async with _reachable(), self._engine.connect() as connection:
            # One statement sees one moment anyway; without BEGIN and COMMIT a read is one round trip.
            yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Gives a connection in a transaction, committed when the block is left well. Raises Unavailable."""
        async with _reachable(), self._engine.connect() as connection:
            yield connection
            await connection.commit()


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout, OSError) as error:
        if isinstance(error, DBAPIError) and not (
            error.connection_invalidated
            or isinstance(error, OperationalError | InterfaceError)
            or (getattr(error.orig, "sqlstate", None) or "").startswith(PASSING)
        ):
            raise  # the database answered and refused: a fault of this program, not of the connection
        raise Unavailable("The database cannot be reached. Try again.", reason="DATABASE_UNAVAILABLE") from error
