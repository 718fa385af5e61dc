"""PostgresSlotLocks: the slots of shared servers as advisory locks, which end with the connection that has them."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Set
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import psycopg

from services.errors import Unavailable
from services.orchestrator.ports.slot_locks import Occupancy, SlotLock
from services.orchestrator.store.database import KEEPALIVE, plain_url
from services.orchestrator.store.worker_name_lock import NOTICE
from services.reasons import ServiceReason

T = TypeVar("T")
Connection = psycopg.AsyncConnection[tuple[int]]

SLOTS, WAITERS = 0x69327631, 0x69327632
"""The first keys of our locks; the second one says which slot of which server, or which waiter."""
WAITERS_MOST = 64
"""Waiters for the same servers that are counted."""
LOCKED = """
SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = %s::bigint::oid AND objsubid = 2
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND objid::bigint = ANY(%s)
"""
TAKE = "SELECT CAST(pg_try_advisory_lock(%s, %s) AS integer)"
RELEASE = "SELECT CAST(pg_advisory_unlock(%s, %s) AS integer)"

log = logging.getLogger(__name__)


class PostgresSlotLocks:
    """The locks of one process, on one connection, which opens with the first. Use `close` at the end.

    If the connection breaks, others may take the slots, until this process has connected again, at the latest by the
    next `keep`: then it has those again that are still free.
    """

    def __init__(self, url: str) -> None:
        self._url = plain_url(url)
        self._connection: Connection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._held: set[tuple[int, int]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def take(self, servers: Mapping[str, int]) -> SlotLock | None:
        """Takes a slot of the server that has most free ones. Returns None if all are taken."""

        async def work(connection: Connection) -> SlotLock | None:
            free = await self._free(connection, servers)
            for server in sorted(free, key=lambda each: (-len(free[each]), each)):
                for number in free[server]:
                    if await self._lock(connection, SLOTS, _key(server, number)):
                        return SlotLock(server, number)
            return None

        return await self._run(work, lambda lock: None if lock is None else self.release(lock))

    def release(self, lock: SlotLock) -> None:
        """Releases a slot, soon."""
        self._release(SLOTS, _key(lock.server, lock.number))

    async def look(self, servers: Mapping[str, int]) -> Occupancy:
        """Returns how full the servers are."""
        waiters = _waiter_keys(servers)

        async def work(connection: Connection) -> Occupancy:
            free = await self._free(connection, servers)
            waiting = await _locked(connection, WAITERS, waiters)
            own = {key for kind, key in self._held if kind == WAITERS}
            return Occupancy(sum(map(len, free.values())), len(waiting - own))

        return await self._run(work)

    async def keep(self) -> None:
        """Connects again if the connection has broken, which takes the slots of this process again."""

        async def work(connection: Connection) -> None:
            await connection.execute("SELECT 1")

        if self._held:
            try:
                await self._run(work)
            except Unavailable:  # that was the broken one
                await self._run(work)

    @asynccontextmanager
    async def waiting(self, servers: Mapping[str, int]) -> AsyncGenerator[None, None]:
        """Shows the other processes meanwhile that a job waits for a slot of these servers."""

        async def work(connection: Connection) -> int | None:
            locked = await _locked(connection, WAITERS, keys)
            for key in keys:
                if key not in locked and await self._lock(connection, WAITERS, key):
                    return key
            return None

        keys = _waiter_keys(servers)
        key = await self._run(work, lambda key: None if key is None else self._release(WAITERS, key))
        try:
            yield
        finally:
            if key is not None:
                self._release(WAITERS, key)

    async def close(self) -> None:
        """Releases all slots."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        async with self._one_at_a_time:
            self._held.clear()
            await self._disconnect()

    async def _free(self, connection: Connection, servers: Mapping[str, int]) -> dict[str, list[int]]:
        """Returns the numbers of the free slots of each server."""
        keys = {(server, number): _key(server, number) for server, slots in servers.items() for number in range(slots)}
        # Own locks too: one connection may take the same lock twice, and a broken one has lost them.
        taken = await _locked(connection, SLOTS, keys.values()) | {key for kind, key in self._held if kind == SLOTS}
        return {
            server: [number for number in range(slots) if keys[server, number] not in taken]
            for server, slots in servers.items()
        }

    async def _lock(self, connection: Connection, kind: int, key: int) -> bool:
        found = await (await connection.execute(TAKE, [kind, key])).fetchone()
        if taken := found is not None and bool(found[0]):
            self._held.add((kind, key))
        return taken

    def _release(self, kind: int, key: int) -> None:
        async def release() -> None:
            async with self._one_at_a_time:
                self._held.discard((kind, key))
                if self._connection is not None:  # otherwise the lock is gone with the connection
                    try:
                        await self._connection.execute(RELEASE, [kind, key])
                    except psycopg.Error:
                        await self._disconnect()

        self._keep(asyncio.create_task(release(), name="release-slot"))

    async def _run(self, work: Callable[[Connection], Awaitable[T]], undo: Callable[[T], None] | None = None) -> T:
        """Does the work on the connection. A cancel does not end it: its result is undone. Raises Unavailable."""

        def ended(working: asyncio.Task[T]) -> None:
            if not working.cancelled() and working.exception() is None and undo is not None:
                undo(working.result())

        working = asyncio.create_task(self._work(work), name="slot-locks")
        self._keep(working)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            working.add_done_callback(ended)
            raise

    async def _work(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._one_at_a_time:
            try:
                if self._connection is None:
                    self._connection = await self._connect()
                return await work(self._connection)
            except (psycopg.Error, RuntimeError) as error:  # or there is no thread to look up the server's name
                await self._disconnect()
                message = "The database cannot be reached."
                raise Unavailable(message, reason=ServiceReason.DATABASE_UNAVAILABLE) from error

    def _keep(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> Connection:
        connection: Connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, **KEEPALIVE)
        await connection.execute(NOTICE)
        for kind, key in self._held:
            found = await (await connection.execute(TAKE, [kind, key])).fetchone()
            if kind == SLOTS and (found is None or not found[0]):
                log.warning("a slot was taken by another worker while the database was away")
        return connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                await self._connection.close()
            self._connection = None


async def _locked(connection: Connection, kind: int, keys: Collection[int]) -> Set[int]:
    rows = await (await connection.execute(LOCKED, [kind, list(keys)])).fetchall()
    return {row[0] for row in rows}


def _key(name: str, number: int) -> int:
    """Returns a positive number of 31 bits."""
    digest = hashlib.blake2b(f"{name} {number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def _waiter_keys(servers: Mapping[str, int]) -> list[int]:
    return [_key(" ".join(sorted(servers)), number) for number in range(WAITERS_MOST)]
