"""The lock of a worker's name: an advisory lock of PostgreSQL, which lasts as long as the connection that took it."""

import asyncio
import logging
from contextlib import suppress

import psycopg

from services.errors import Unavailable
from services.orchestrator.store.database import KEEPALIVE, plain_url
from services.orchestrator.store.notification_listener import RECONNECT_S
from services.reasons import ServiceReason

TIMEOUT_S = 10.0
"""Seconds that a worker waits for its name: the holder may be about to end, or be this worker's broken connection."""
AGAIN_S = 0.5
# The server must also notice a client that vanishes without closing its connection, within that time.
NOTICE = """
SELECT set_config('tcp_keepalives_idle', '3', false), set_config('tcp_keepalives_interval', '2', false),
    set_config('tcp_keepalives_count', '2', false)
"""
TAKE = "SELECT pg_try_advisory_lock(hashtext('i2v-worker'), hashtext(%s))"

log = logging.getLogger(__name__)


class NameTaken(Exception):
    """Another living worker has this name. Give each worker one of its own (I2V_WORKER_NAME)."""


class WorkerNameLock:
    """One process's lock of a name. Use `release` at the end."""

    def __init__(self, url: str, worker: str, timeout_s: float = TIMEOUT_S) -> None:
        self._url = plain_url(url)
        self._worker = worker
        self._timeout_s = timeout_s
        self._connection: psycopg.AsyncConnection[tuple[bool]] | None = None

    async def take(self) -> None:
        """Claims the name, immediately if its holder is dead, within seconds if it is ending.

        Raises NameTaken, Unavailable.
        """
        try:
            self._connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, **KEEPALIVE)
            await self._connection.execute(NOTICE)
            for _ in range(max(1, round(self._timeout_s / AGAIN_S))):
                row = await (await self._connection.execute(TAKE, [self._worker])).fetchone()
                if row is not None and row[0]:
                    return
                await asyncio.sleep(AGAIN_S)
        except (psycopg.Error, RuntimeError) as error:  # or there is no thread to look up the server's name
            await self.release()
            raise Unavailable("The database cannot be reached.", reason=ServiceReason.DATABASE_UNAVAILABLE) from error
        await self.release()
        raise NameTaken(f"another living worker is called {self._worker!r}; give each its own I2V_WORKER_NAME")

    async def hold(self) -> None:
        """Watches the lock, and takes it again when its connection breaks.

        Raises NameTaken once another worker has the name; until then it does not return.
        """
        while True:
            await self._broken()
            log.warning("the claim on this worker's name was lost with its connection; taking it again")
            while True:
                try:
                    await self.take()
                    break
                except Unavailable:
                    await asyncio.sleep(RECONNECT_S)
            log.info("the claim on this worker's name was taken again")

    async def release(self) -> None:
        """Releases the name, if it was claimed."""
        if self._connection is not None:
            with suppress(psycopg.Error):  # a broken connection has released it already
                await self._connection.execute("SELECT pg_advisory_unlock_all()")
            await self._connection.close()
            self._connection = None

    async def _broken(self) -> None:
        assert self._connection is not None, "it was taken"
        with suppress(psycopg.Error):
            async for _ in self._connection.notifies():  # none arrive; this waits until the connection breaks
                pass
        await self._connection.close()
