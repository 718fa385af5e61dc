"""The list of workers: which workers are alive, under which name, and the takeover of dead workers' jobs."""

import logging
from collections.abc import Collection, Mapping, Set
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import Unavailable
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.store import queue_entries as queues
from services.orchestrator.store.database import Database
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.schema import executors
from services.orchestrator.store.worker_name_lock import TIMEOUT_S, NameTaken, WorkerNameLock

FORGET = timedelta(hours=1)
"""Time that a silent incarnation stays on the list: one that was only suspended may take a job before its heartbeat."""

log = logging.getLogger(__name__)


class PostgresWorkers:
    """The list of workers, for one incarnation of a worker."""

    def __init__(
        self,
        database: Database,
        url: str,
        clock: Clock,
        queue: Queue,
        *,
        worker: str,
        incarnation: str,
        slots: Mapping[str, int] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`worker` is the stable name, `incarnation` a word that is unique to this start.

        `slots` are the jobs at a time of each backend, which forecasts count.
        """
        self._database = database
        self._clock = clock
        self._queue = queue
        self._worker = worker
        self._executor = f"{worker}.{incarnation}"
        self._slots = dict(slots or {})
        self._entered = False
        self._name_lock = WorkerNameLock(url, worker, timeout_s)

    @property
    def executor(self) -> str:
        """Id of this incarnation; it marks the queue entries that the incarnation takes."""
        return self._executor

    async def enter(self) -> None:
        """Claims the name, and requeues the entries of earlier incarnations. Raises NameTaken, Unavailable.

        If two workers had one name, it would not show which of them has a job. So only one of them may run.
        """
        await self._name_lock.take()
        await self.beat()
        self._entered = True
        # Versions without incarnations have no column for the name: their id is the name.
        own = sa.func.coalesce(executors.c.worker, executors.c.id) == self._worker
        async with self._database.writing() as connection:
            left = await self._put_back_of(connection, own)
        if left:
            log.info("requeued the jobs of earlier incarnations", extra={"jobs": sum(left.values())})

    async def hold(self) -> None:
        """Keeps the name until it is cancelled. Raises NameTaken."""
        try:
            await self._name_lock.hold()
        except NameTaken:
            log.error("another worker has taken this worker's name; this one stops", extra={"worker": self._worker})
            raise

    async def leave(self) -> None:
        """Requeues all entries that this incarnation still has, and releases the name. Raises nothing."""
        if self._entered:
            try:
                async with self._database.writing() as connection:
                    await connection.execute(sa.delete(executors).where(executors.c.id == self._executor))
                    await queues.put_back(connection, self._queue, [self._executor])
            except Unavailable:
                log.warning("the database is away; others take over when this worker has been silent for a while")
        self._entered = False
        await self._name_lock.release()

    async def beat(self) -> None:
        """Writes a heartbeat of this worker. Raises Unavailable."""
        now = self._clock.now()
        async with self._database.writing() as connection:
            await connection.execute(
                insert(executors)
                .values(id=self._executor, worker=self._worker, beat_time=now, slots=self._slots)
                .on_conflict_do_update(index_elements=["id"], set_={"beat_time": now})
            )

    async def report(
        self,
        obstacles: Mapping[str, str],
        slots: Mapping[str, int] | None = None,
        servers: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        """Stores what is known of the backends of this worker; see the port. Raises Unavailable."""
        self._slots |= slots or {}
        found = {name: dict(each) for name, each in (servers or {}).items()}
        own = sa.update(executors).where(executors.c.id == self._executor)
        async with self._database.writing() as connection:
            await connection.execute(own.values(obstacles=dict(obstacles), slots=self._slots, servers=found))

    async def has(self, entry: str) -> bool:
        """Whether a queue entry that this incarnation took is still its own. Raises Unavailable."""
        async with self._database.reading() as connection:
            return await queues.has(connection, self._executor, entry)

    async def taken(self) -> Set[str]:
        """Returns the queue entries that this incarnation has taken and that have not ended. Raises Unavailable."""
        async with self._database.reading() as connection:
            return await queues.taken(connection, self._queue, self._executor)

    async def put_back(self, entries: Collection[str]) -> None:
        """Requeues entries that this incarnation took, in their old places. Raises Unavailable."""
        async with self._database.writing() as connection:
            await queues.put_back(connection, self._queue, [self._executor], entries)

    async def take_over(self, since: datetime) -> Mapping[str, int]:
        """Requeues the entries of workers without a heartbeat since then; returns their number by executor."""
        async with self._database.writing() as connection:
            left = await self._put_back_of(connection, executors.c.beat_time < since)
            await connection.execute(sa.delete(executors).where(executors.c.beat_time < since - FORGET))
        return left

    async def _put_back_of(self, connection: AsyncConnection, which: sa.ColumnElement[bool]) -> Mapping[str, int]:
        others = sa.select(executors.c.id).where(which, executors.c.id != self._executor)
        dead = (await connection.execute(others)).scalars().all()
        return await queues.put_back(connection, self._queue, dead) if dead else {}
