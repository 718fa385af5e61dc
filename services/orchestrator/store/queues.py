"""PostgresQueues: the queues of the backends, as far as callers and operators see them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import sqlalchemy as sa

from services.orchestrator.domain.job import State
from services.orchestrator.domain.queue_forecast import QueueSnapshot
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.signal import Signal
from services.orchestrator.store import queue_snapshot
from services.orchestrator.store.database import Database
from services.orchestrator.store.notification_listener import ENTRIES, NotificationListener
from services.orchestrator.store.schema import jobs


class PostgresQueues:
    """The queues of one database."""

    def __init__(self, database: Database, listener: NotificationListener, clock: Clock) -> None:
        self._database = database
        self._listener = listener
        self._clock = clock

    async def length(self, backend: str) -> int:
        """Returns how many jobs wait for a backend."""
        query = sa.select(sa.func.count()).where(jobs.c.state == State.QUEUED.value, jobs.c.backend == backend)
        async with self._database.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def lengths(self) -> Mapping[str, int]:
        """Returns how many jobs wait for each backend that has any."""
        query = sa.select(jobs.c.backend, sa.func.count().label("waiting")).where(jobs.c.state == State.QUEUED.value)
        async with self._database.reading() as connection:
            return {row.backend: row.waiting for row in await connection.execute(query.group_by(jobs.c.backend))}

    async def backends(self, job_ids: Sequence[str]) -> Mapping[str, str]:
        """Returns the backend of each of these jobs that waits or runs."""
        states = (State.QUEUED.value, State.RUNNING.value, State.CANCELLING.value)
        query = sa.select(jobs.c.id, jobs.c.backend).where(jobs.c.id.in_(job_ids), jobs.c.state.in_(states))
        async with self._database.reading() as connection:
            return {row.id: row.backend for row in await connection.execute(query)}

    async def snapshot(self, backend: str) -> QueueSnapshot:
        """Returns the queue of a backend as it is now."""
        async with self._database.reading() as connection:
            return await queue_snapshot.take(connection, backend, self._clock.now())

    def entries(self, backend: str) -> AbstractAsyncContextManager[Signal]:
        """Wakes when a job is put onto the queue of a backend, by any process."""
        return self._listener.subscribe(ENTRIES, backend)
