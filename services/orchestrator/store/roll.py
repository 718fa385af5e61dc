"""The roll of workers: who lives, by what name, and whose work is to be taken over."""

import asyncio
from contextlib import suppress
from datetime import datetime

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from services.errors import Unavailable
from services.orchestrator.ports.system import Clock
from services.orchestrator.store.database import Database, plain_url
from services.orchestrator.store.schema import executors

CLAIM_TRIES, CLAIM_AGAIN_S = 20, 0.5


class NameTaken(Exception):
    """Another living worker has this name. Give each worker one of its own (I2V_WORKER_NAME)."""


class PostgresRoll:
    """The roll, in the store's database. A name is claimed by an advisory lock for as long as its connection lives."""

    def __init__(self, database: Database, url: str, clock: Clock) -> None:
        self._database = database
        self._url = plain_url(url)
        self._clock = clock
        self._claim: psycopg.AsyncConnection[tuple[bool]] | None = None

    async def claim(self, worker: str) -> None:
        """Takes a name. A dead worker's is free at once, a dying one's within seconds. Raises NameTaken, Unavailable.

        Two under one name would each take up what the other is doing, and lose it when one of them ends.
        """
        try:
            self._claim = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
            for _ in range(CLAIM_TRIES):
                taken = await self._claim.execute(
                    "SELECT pg_try_advisory_lock(hashtext('i2v-worker'), hashtext(%s))", [worker]
                )
                row = await taken.fetchone()
                if row is not None and row[0]:
                    return
                await asyncio.sleep(CLAIM_AGAIN_S)
        except psycopg.Error as error:
            raise Unavailable("The database cannot be reached.", reason="DATABASE_UNAVAILABLE") from error
        await self.release()
        raise NameTaken(f"another living worker is called {worker!r}; give each its own I2V_WORKER_NAME")

    async def release(self) -> None:
        """Gives the name back."""
        if self._claim is not None:
            with suppress(psycopg.Error):  # a broken connection has given it back already
                await self._claim.execute("SELECT pg_advisory_unlock_all()")
            await self._claim.close()
            self._claim = None

    async def beat(self, worker: str) -> None:
        """Notes that a worker lives."""
        now = self._clock.now()
        async with self._database.writing() as connection:
            await connection.execute(
                insert(executors)
                .values(id=worker, beat_time=now)
                .on_conflict_do_update(index_elements=["id"], set_={"beat_time": now})
            )

    async def silent(self, since: datetime) -> list[str]:
        """Returns the workers that have not been heard of since."""
        query = sa.select(executors.c.id).where(executors.c.beat_time < since)
        async with self._database.reading() as connection:
            return list((await connection.execute(query)).scalars())

    async def bury(self, worker: str, since: datetime) -> bool:
        """Takes a worker off the list if it has been silent since; True for the one caller that did it."""
        query = sa.delete(executors).where(executors.c.id == worker, executors.c.beat_time < since)
        async with self._database.writing() as connection:
            return (await connection.execute(query.returning(executors.c.id))).one_or_none() is not None
