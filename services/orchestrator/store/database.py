"""The database: its URL, its schema's version, its connections and transactions, and when it counts as away."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from services.errors import PreconditionFailed, Unavailable
from services.orchestrator.store import concurrent_indexes, schema_version
from services.reasons import RetentionReason, ServiceReason
from services.tracing import spans

PASSING = ("08", "25006", "25P03", "40", "53", "57")
"""SQLSTATEs, or their classes, of temporary errors: no connection, read-only after a failover, idle for too long,
conflicts, full, shutting down."""
USER_IN_DELETION = "I2V01"
"""SQLSTATE of the trigger that refuses what is new of a user who is being deleted."""
KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 2,
    "tcp_user_timeout": 11_000,  # milliseconds; the others are silent while an answer is awaited
}
"""A lost server is noticed within about eleven seconds, and not after a quarter of an hour."""
STILL_S = 15.0
"""Time that a transaction may be idle: a machine that froze or lost its network must not keep its rows locked."""
CUSTOM = "force_custom_plan"
"""The plan_cache_mode in which a search has a plan for its own values: for any values, one for a rare word would read
the whole library."""
QUERY_CANCELED = "57014"
"""The SQLSTATE of a statement that the server has ended."""
STOP_LOOKS, STOP_LOOK_S = 100, 0.02
"""How long `close` waits for connections that are in use: two seconds."""


def driver_url(url: str) -> str:
    """Returns a PostgreSQL URL with psycopg named as its driver, as SQLAlchemy wants it."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql+psycopg://", url)


def plain_url(url: str) -> str:
    """Returns a PostgreSQL URL as psycopg itself wants it."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)


def migrate(url: str) -> None:
    """Brings the schema to the newest version. Several processes may do so at once: one works, the others wait.

    A schema of a newer release that serves this one too stays as it is. Raises Unavailable.
    """
    # Only here: alembic takes 11 MB of memory, and the processes of a cluster do not migrate.
    from alembic import command

    with connected(url) as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('i2v-migrations'))"))
        if schema_version.is_ahead(connection):
            return
        config = schema_version.migrations()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        schema_version.mark(connection)
    with connected(url, isolation_level="AUTOCOMMIT") as connection:
        concurrent_indexes.make(connection)


def check_schema(url: str, show: Callable[[str], None] = lambda state: None) -> None:
    """Raises Unavailable if the programs of this release cannot use the schema (SCHEMA_MISMATCH), or the database.

    `show` gets the state of the schema.
    """
    with connected(url) as connection:
        show(schema_version.standing(schema_version.version(connection)))
        schema_version.check(connection)


@contextmanager
def connected(url: str, **options: Any) -> Iterator[sa.Connection]:
    """Gives a connection in a transaction, unless the engine's options are others. Raises Unavailable."""
    try:
        with sa.create_engine(driver_url(url), poolclass=sa.NullPool, **options).begin() as connection:
            yield connection
    except (OperationalError, ArgumentError) as error:
        why = str(getattr(error, "orig", error)).splitlines()[0]
        raise Unavailable(f"The database cannot be used: {why}", reason=ServiceReason.DATABASE_UNAVAILABLE) from error


class TooSlow(Exception):
    """A statement took more than the time that it was given."""


class Database:
    """The connections of one process."""

    def __init__(self, url: str, *, pool_size: int, still_s: float = STILL_S) -> None:
        self.pool_size = pool_size
        self._engine = create_async_engine(
            driver_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=False,
            connect_args=KEEPALIVE,
            hide_parameters=True,  # errors are logged, and users' texts are in the parameters
            # One statement sees one moment anyway; without BEGIN and COMMIT it is one round trip.
            isolation_level="AUTOCOMMIT",
        )

        def limit(connection: DBAPIConnection, _: object) -> None:
            cursor = connection.cursor()
            cursor.execute(f"SET idle_in_transaction_session_timeout = {round(still_s * 1000)}")
            cursor.close()
            connection.commit()

        sa.event.listen(self._engine.sync_engine, "connect", limit)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Gives a connection for single statements. Raises Unavailable."""
        async with _reachable("read"), self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Gives a connection in a transaction, committed when the block is left well. Raises Unavailable."""
        async with _reachable("write"), self._engine.connect() as connection:
            await connection.execution_options(isolation_level="READ COMMITTED")
            yield connection
            await connection.commit()

    @asynccontextmanager
    async def limited(self, statement_s: float) -> AsyncIterator[AsyncConnection]:
        """Gives a connection in a transaction whose statements may each take so long, committed if the block ends well.

        Raises TooSlow, Unavailable.
        """
        async with _reachable("list"), self._engine.connect() as connection:
            await connection.execution_options(isolation_level="READ COMMITTED")
            limits = f"SET LOCAL statement_timeout = {round(statement_s * 1000)}; SET LOCAL plan_cache_mode = {CUSTOM}"
            await connection.execute(sa.text(limits))
            try:
                yield connection
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) == QUERY_CANCELED:
                    raise TooSlow from error
                raise
            await connection.commit()

    @asynccontextmanager
    async def snapshot(self, *, idle_s: float | None = None) -> AsyncIterator[AsyncConnection]:
        """Gives a connection in a transaction whose statements all see one moment, committed if the block is left well.

        `idle_s`: the time that it may be idle between two statements. Default: as of every transaction. Raises
        Unavailable, also if another transaction has changed a row that this one writes.
        """
        async with _reachable("snapshot"), self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            if idle_s is not None:
                idle = f"SET LOCAL idle_in_transaction_session_timeout = {round(idle_s * 1000)}"
                await connection.execute(sa.text(idle))
            yield connection
            await connection.commit()

    @asynccontextmanager
    async def direct(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """Yields the driver's own connection, for the one statement that must be as fast as possible.

        Each statement is a transaction of its own. Raises Unavailable, and the driver's errors.
        """
        async with _reachable("statement"), self._engine.connect() as connection:
            assert connection.sync_connection is not None
            # Without get_raw_connection, which would switch to another greenlet for what is already here.
            direct = cast("psycopg.AsyncConnection[Any]", connection.sync_connection.connection.driver_connection)
            try:
                yield direct
            except psycopg.OperationalError:
                if direct.closed:  # the others are probably closed too; SQLAlchemy would notice that itself
                    await self._engine.dispose()
                raise
            finally:
                if direct.closed:
                    await connection.invalidate()

    def connections_in_use(self) -> int:
        """Returns how many connections are lent now. Safe from any thread."""
        pool = self._engine.pool
        return pool.checkedout() if isinstance(pool, sa.QueuePool) else 0

    async def check(self) -> None:
        """Raises Unavailable if the database cannot be used."""
        async with self.reading() as connection:
            await connection.execute(sa.text("SELECT 1"))

    async def close(self) -> None:
        """Gives back every connection, those of calls that are just ending too."""
        pool = self._engine.pool
        for _ in range(STOP_LOOKS):
            if not isinstance(pool, sa.QueuePool) or pool.checkedout() == 0:
                break
            await asyncio.sleep(STOP_LOOK_S)
        await self._engine.dispose()


@asynccontextmanager
async def _reachable(use: str) -> AsyncIterator[None]:
    """Translates errors of a use of a connection, and makes it a span, from the wait for the connection to its return.

    The span has no SQL, and no values.
    """
    span = spans.begin(f"postgresql {use}", {"db.system.name": "postgresql"}, spans.Kind.CLIENT)
    try:
        yield
    except (DBAPIError, psycopg.Error, PoolTimeout, OSError) as error:
        driver = error.orig if isinstance(error, DBAPIError) else error
        if getattr(driver, "sqlstate", None) == USER_IN_DELETION:
            raise PreconditionFailed(
                "Everything of this user is being deleted. Nothing new of the user is taken until that has ended.",
                reason=RetentionReason.USER_IN_DELETION,
            ) from error
        if isinstance(error, DBAPIError | psycopg.Error) and not (
            (isinstance(error, DBAPIError) and error.connection_invalidated)
            or isinstance(driver, psycopg.OperationalError | psycopg.InterfaceError)
            or (getattr(driver, "sqlstate", None) or "").startswith(PASSING)
        ):
            raise  # the database answered and refused: a fault of this program, not of the connection
        span.fail(ServiceReason.DATABASE_UNAVAILABLE)
        raise Unavailable(
            "The database cannot be reached. Try again.", reason=ServiceReason.DATABASE_UNAVAILABLE
        ) from error
    finally:
        span.end()
