"""PostgresBackendDrains: which backends are drained, and what else operators see of backends."""

from collections.abc import Mapping, Set
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.backend_state import BackendState, BackendWorker, Drain
from services.orchestrator.ports.signal import Signal
from services.orchestrator.store import audit_log
from services.orchestrator.store.database import Database
from services.orchestrator.store.notification_listener import ALL, DRAINS, NotificationListener
from services.orchestrator.store.schema import ENDED, backend_drains

NOTIFY = sa.text("SELECT pg_notify(:channel, :payload)")
COUNTS = sa.text(f"""
SELECT backend, count(*) FILTER (WHERE state = 'queued') AS queued, count(*) FILTER (WHERE state <> 'queued') AS running
FROM jobs WHERE state NOT IN {ENDED} GROUP BY backend
""")
# An earlier incarnation of a worker stays on the list for a while.
WORKERS = sa.text("""
SELECT backend, worker, beat_time, obstacle FROM (
    SELECT DISTINCT ON (worker) worker, beat_time, obstacles FROM executors
    WHERE worker IS NOT NULL ORDER BY worker, beat_time DESC
) AS newest, jsonb_each_text(obstacles) AS each (backend, obstacle) ORDER BY backend, worker
""")


class PostgresBackendDrains:
    """The drains of one database."""

    def __init__(self, database: Database, listener: NotificationListener) -> None:
        self._database = database
        self._listener = listener

    async def drained(self) -> Set[str]:
        """Returns the names of the drained backends."""
        async with self._database.reading() as connection:
            return set((await connection.execute(sa.select(backend_drains.c.backend))).scalars())

    def changes(self) -> AbstractAsyncContextManager[Signal]:
        """Yields a signal that is raised when a drain may have begun or ended."""
        return self._listener.subscribe(DRAINS, ALL)

    async def drain(self, backend: str, act: Act) -> None:
        """Drains a backend, or gives its drain another reason, and writes the act into the audit log."""
        says = {"reason": act.reason, "actor": act.actor}
        new = insert(backend_drains).values(says | {"backend": backend, "create_time": act.time})
        async with self._database.writing() as connection:
            before = await self._locked(connection, backend)
            await connection.execute(new.on_conflict_do_update(index_elements=["backend"], set_=says))
            await audit_log.write(connection, act, {"drained": before}, {"drained": True})
            await connection.execute(NOTIFY, {"channel": DRAINS, "payload": ALL})

    async def undrain(self, backend: str, act: Act) -> None:
        """Ends a drain, if there is one, and writes the act into the audit log."""
        async with self._database.writing() as connection:
            before = await self._locked(connection, backend)
            await connection.execute(sa.delete(backend_drains).where(backend_drains.c.backend == backend))
            await audit_log.write(connection, act, {"drained": before}, {"drained": False})
            await connection.execute(NOTIFY, {"channel": DRAINS, "payload": ALL})

    async def states(self) -> Mapping[str, BackendState]:
        """Returns the backends that have a drain, unfinished jobs or workers."""
        found: dict[str, BackendState] = {}

        def of(name: str) -> BackendState:
            return found.setdefault(name, BackendState(name))

        async with self._database.reading() as connection:
            for row in await connection.execute(sa.select(backend_drains)):
                drain = Drain(row.backend, row.reason, row.actor, row.create_time)
                found[drain.backend] = replace(of(drain.backend), drain=drain)
            for row in await connection.execute(COUNTS):
                found[row.backend] = replace(of(row.backend), queued=row.queued, running=row.running)
            for row in await connection.execute(WORKERS):
                worker = BackendWorker(row.worker, row.beat_time, row.obstacle)
                found[row.backend] = replace(of(row.backend), workers=(*of(row.backend).workers, worker))
        return found

    async def _locked(self, connection: AsyncConnection, backend: str) -> bool:
        """Returns whether a backend is drained, and locks its drain."""
        query = sa.select(backend_drains.c.backend).where(backend_drains.c.backend == backend).with_for_update()
        return (await connection.execute(query)).one_or_none() is not None
