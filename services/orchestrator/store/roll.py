"""The roll of workers: who lives, under which name, and whose work is put back for the others."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import Unavailable
from services.orchestrator.ports.system import Clock
from services.orchestrator.store import queue as queues
from services.orchestrator.store.database import Database, plain_url
from services.orchestrator.store.queue import Queue
from services.orchestrator.store.schema import executors

PATIENCE_S = 10.0
"""How long a worker waits for its name: what has it may be about to end."""
CLAIM_AGAIN_S = 0.5
FORGET = timedelta(hours=1)
"""A silent incarnation stays on the list this long: one that only slept may take another job before its next beat."""

log = logging.getLogger(__name__)


class NameTaken(Exception):
    """Another living worker has this name. Give each worker one of its own (I2V_WORKER_NAME)."""


class PostgresRoll:
    """One worker's view of the roll. A name is claimed by an advisory lock for as long as its connection lives."""

    def __init__(
        self,
        database: Database,
        url: str,
        clock: Clock,
        queue: Queue,
        *,
        worker: str,
        incarnation: str,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`worker` is the stable name, `incarnation` a word that no other start of any worker has."""
        self._database = database
        self._url = plain_url(url)
        self._clock = clock
        self._queue = queue
        self._worker = worker
        self._patience_s = patience_s
        self._executor = f"{worker}.{incarnation}"
        self._entered = False
        self._claim: psycopg.AsyncConnection[tuple[bool]] | None = None

    @property
    def executor(self) -> str:
        """See Roll."""
        return self._executor

    async def enter(self) -> None:
        """See Roll. A dead worker's name is free at once, a dying one's within seconds. Raises NameTaken, Unavailable.

        A name that two workers have says nothing about where its work is, so only one of them may live.
        """
        await self._take_name()
        self._entered = True
        await self.beat()
        # The version before incarnations has no column for the name: its id is the name.
        own = sa.func.coalesce(executors.c.worker, executors.c.id) == self._worker
        async with self._database.writing() as connection:
            left = await self._put_back_of(connection, own)
        if left:
            log.info("took up what this worker left", extra={"jobs": sum(left.values())})

    async def leave(self) -> None:
        """See Roll."""
        if not self._entered:
            return
        try:
            async with self._database.writing() as connection:
                await connection.execute(sa.delete(executors).where(executors.c.id == self._executor))
                await queues.put_back(connection, self._queue, [self._executor])
        except Unavailable:
            log.warning("the database is away; others take over when this worker has been silent for a while")
        await self._release()

    async def beat(self) -> None:
        """See Roll."""
        now = self._clock.now()
        async with self._database.writing() as connection:
            await connection.execute(
                insert(executors)
                .values(id=self._executor, worker=self._worker, beat_time=now)
                .on_conflict_do_update(index_elements=["id"], set_={"beat_time": now})
            )

    async def put_back(self, entries: Collection[str]) -> None:
        """See Roll."""
        async with self._database.writing() as connection:
            await queues.put_back(connection, self._queue, [self._executor], entries)

    async def take_over(self, since: datetime) -> Mapping[str, int]:
        """See Roll."""
        async with self._database.writing() as connection:
            left = await self._put_back_of(connection, executors.c.beat_time < since)
            await connection.execute(sa.delete(executors).where(executors.c.beat_time < since - FORGET))
        return left

    async def _put_back_of(self, connection: AsyncConnection, which: sa.ColumnElement[bool]) -> Mapping[str, int]:
        others = sa.select(executors.c.id).where(which, executors.c.id != self._executor)
        dead = (await connection.execute(others)).scalars().all()
        return await queues.put_back(connection, self._queue, dead) if dead else {}

    async def _take_name(self) -> None:
        try:
            self._claim = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
            for _ in range(max(1, round(self._patience_s / CLAIM_AGAIN_S))):
                taken = await self._claim.execute(
                    "SELECT pg_try_advisory_lock(hashtext('i2v-worker'), hashtext(%s))", [self._worker]
                )
                row = await taken.fetchone()
                if row is not None and row[0]:
                    return
                await asyncio.sleep(CLAIM_AGAIN_S)
        except psycopg.Error as error:
            raise Unavailable("The database cannot be reached.", reason="DATABASE_UNAVAILABLE") from error
        await self._release()
        raise NameTaken(f"another living worker is called {self._worker!r}; give each its own I2V_WORKER_NAME")

    async def _release(self) -> None:
        if self._claim is not None:
            with suppress(psycopg.Error):  # a broken connection has given it back already
                await self._claim.execute("SELECT pg_advisory_unlock_all()")
            await self._claim.close()
            self._claim = None
