"""PostgresQueues: the queues of the backends, as far as callers and operators see them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import sqlalchemy as sa

from services.orchestrator.domain.job import State
from services.orchestrator.ports.signal import Signal
from services.orchestrator.store.database import Database
from services.orchestrator.store.notification_listener import ENTRIES, NotificationListener
from services.orchestrator.store.schema import jobs

# Since when a job waits: since its admission, or since the event that put it onto a queue again.
PLACES = sa.text("""
SELECT id, place FROM (
    SELECT id, row_number() OVER (PARTITION BY backend ORDER BY since, id) AS place FROM (
        SELECT id, backend, CASE WHEN workflow = '' THEN create_time ELSE (
            SELECT time FROM job_events WHERE job_id = jobs.id AND sequence = jobs.last_sequence
        ) END AS since FROM jobs
        WHERE state = 'queued' AND backend IN (SELECT backend FROM jobs WHERE id = ANY(:ids))
    ) AS waiting
) AS placed WHERE id = ANY(:ids)
""")


class PostgresQueues:
    """The queues of one database."""

    def __init__(self, database: Database, listener: NotificationListener) -> None:
        self._database = database
        self._listener = listener

    async def length(self, backend: str) -> int:
        """Returns how many jobs wait for a backend."""
        query = sa.select(sa.func.count()).where(jobs.c.state == State.QUEUED.value, jobs.c.backend == backend)
        async with self._database.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def places(self, job_ids: Sequence[str]) -> Mapping[str, int]:
        """Returns the place of each job in the queue of its backend, from 1; jobs that do not wait are left out."""
        async with self._database.reading() as connection:
            return {row.id: row.place for row in await connection.execute(PLACES, {"ids": list(job_ids)})}

    def entries(self, backend: str) -> AbstractAsyncContextManager[Signal]:
        """Wakes when a job is put onto the queue of a backend, by any process."""
        return self._listener.subscribe(ENTRIES, backend)
