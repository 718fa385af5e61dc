"""Wakes waiters for a job or a queue, through one LISTEN connection per process.

A notification is only a hint: waiters read the tables, so a lost one causes a delay and nothing else. When the
connection breaks, all waiters are woken and read, and a new connection is made.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg

from services.orchestrator.store.database import KEEPALIVE

CHANGES = "i2v_job_changes"
STOPS = "i2v_job_stops"
ENTRIES = "i2v_queue_entries"
ACCESS = "i2v_access_changes"
"""Of tenants, keys, operators and overrides: the payload is `ALL`. Of sessions that ended: `SESSIONS`."""
DRAINS = "i2v_backend_drains"
"""The payload is always `ALL`."""
ALL, SESSIONS = "all", "sessions"
RECONNECT_S = 0.5

log = logging.getLogger(__name__)


class Signal:
    """One waiter's flag. It is raised at first: what happened before it was listened for has not been seen yet."""

    def __init__(self) -> None:
        self._raised = asyncio.Event()
        self._raised.set()

    def raise_(self) -> None:
        """Wakes the waiter."""
        self._raised.set()

    async def wait(self, timeout_s: float) -> bool:
        """Returns True once something may have happened since the last call, False after `timeout_s` of quiet."""
        try:
            # Not wait_for: in Python 3.11 it swallows a cancel that comes together with the signal.
            async with asyncio.timeout(timeout_s):
                await self._raised.wait()
        except TimeoutError:
            return False
        self._raised.clear()
        return True


class NotificationListener:
    """The process's LISTEN connection and everybody who waits on it."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._waiting: dict[tuple[str, str], set[Signal]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    async def start(self) -> None:
        """Begins to listen."""
        self._task = asyncio.create_task(self._listen(), name="job-listener")
        await self._listening.wait()

    async def stop(self) -> None:
        """Ends listening; those who wait run into their time-outs."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @asynccontextmanager
    async def subscribe(self, channel: str, name: str) -> AsyncIterator[Signal]:
        """Yields a signal that is raised by every notification for the job, or the queue, on the channel."""
        signal = Signal()
        waiting = self._waiting[(channel, name)]
        waiting.add(signal)
        try:
            yield signal
        finally:
            waiting.discard(signal)
            if not waiting:
                self._waiting.pop((channel, name), None)

    async def _listen(self) -> None:
        while True:
            try:
                connecting = psycopg.AsyncConnection.connect(self._conninfo, autocommit=True, **KEEPALIVE)
                async with await connecting as connection:
                    for channel in (CHANGES, ENTRIES, ACCESS, DRAINS, STOPS):
                        await connection.execute(f"LISTEN {channel}".encode())
                    self._listening.set()
                    self._wake_all()
                    async for notification in connection.notifies():
                        for signal in self._waiting.get((notification.channel, notification.payload), ()):
                            signal.raise_()
            except (psycopg.Error, RuntimeError) as error:  # or there is no thread to look up the server's name
                log.warning("the listening connection broke; connecting again", extra={"cause": str(error)})
            except Exception:
                log.exception("listening failed unexpectedly; connecting again")
            await asyncio.sleep(RECONNECT_S)

    def _wake_all(self) -> None:
        for signals in self._waiting.values():
            for signal in signals:
                signal.raise_()
