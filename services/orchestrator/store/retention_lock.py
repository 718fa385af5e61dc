"""The lock of retention: an advisory lock of PostgreSQL, which lives as long as the connection that took it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg

from services.errors import Unavailable
from services.orchestrator.store.database import KEEPALIVE, plain_url
from services.orchestrator.store.worker_name_lock import NOTICE
from services.reasons import ServiceReason

TAKE = "SELECT pg_try_advisory_lock(hashtext(%s))"
RELEASE = "SELECT pg_advisory_unlock(hashtext(%s))"


class RetentionLock:
    """Lets one process of a database do some work at a time, by default the removal of old things."""

    def __init__(self, url: str, name: str = "i2v-retention") -> None:
        self._url = plain_url(url)
        self._name = name

    @asynccontextmanager
    async def only_one(self) -> AsyncIterator[bool]:
        """Yields whether no other process has the lock; if so, this one has it until the block is left.

        Raises Unavailable.
        """
        try:
            connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, **KEEPALIVE)
            try:
                await connection.execute(NOTICE)
                row = await (await connection.execute(TAKE, [self._name])).fetchone()
            except BaseException:
                await connection.close()
                raise
        except (psycopg.Error, RuntimeError) as error:  # or there is no thread to look up the server's name
            raise Unavailable("The database cannot be reached.", reason=ServiceReason.DATABASE_UNAVAILABLE) from error
        taken = row is not None and bool(row[0])
        try:
            yield taken
        finally:
            try:
                if taken:
                    with suppress(psycopg.Error):  # the server notices the end of a connection only later
                        await connection.execute(RELEASE, [self._name])
            finally:  # also if this process stops meanwhile
                await connection.close()
