"""PostgresJobEvents: the events of jobs, to be read; event_log.py writes them."""

from contextlib import AbstractAsyncContextManager

import sqlalchemy as sa

from services.orchestrator.domain.event import Event, FragmentReady
from services.orchestrator.ports.signal import Signal
from services.orchestrator.store import row_mapping
from services.orchestrator.store.database import Database
from services.orchestrator.store.notification_listener import CHANGES, STOPS, NotificationListener
from services.orchestrator.store.schema import job_events

# Built once: building a statement takes as long as running it.
EVENTS = (
    sa.select(job_events.c.sequence, job_events.c.time, job_events.c.kind, job_events.c.body)
    .where(job_events.c.job_id == sa.bindparam("id"), job_events.c.sequence > sa.bindparam("after"))
    .order_by(job_events.c.sequence)
    .limit(sa.bindparam("most", type_=sa.BigInteger))
)


class PostgresJobEvents:
    """The events of one database."""

    def __init__(self, database: Database, listener: NotificationListener) -> None:
        self._database = database
        self._listener = listener

    async def read(self, job_id: str, *, after: int, limit: int = 200) -> list[Event]:
        """Returns a job's events after a sequence number, in order."""
        asked = {"id": job_id, "after": after, "most": limit}
        async with self._database.reading() as connection:
            return [row_mapping.event_of(row) for row in await connection.execute(EVENTS, asked)]

    async def fragments(self, job_id: str) -> list[FragmentReady]:
        """Returns the events of a job's fragments, of all its attempts, in order."""
        query = (
            sa.select(job_events.c.body)
            .where(job_events.c.job_id == job_id, job_events.c.kind == FragmentReady.__name__)
            .order_by(job_events.c.sequence)
        )
        async with self._database.reading() as connection:
            return [row_mapping.stored(FragmentReady, body) for body in (await connection.execute(query)).scalars()]

    def changes(self, job_id: str) -> AbstractAsyncContextManager[Signal]:
        """Wakes on every event of a job."""
        return self._listener.subscribe(CHANGES, job_id)

    def stops(self, job_id: str) -> AbstractAsyncContextManager[Signal]:
        """Wakes when a job is asked to stop, or is taken over by another attempt."""
        return self._listener.subscribe(STOPS, job_id)
