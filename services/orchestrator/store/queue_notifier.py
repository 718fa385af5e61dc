"""Wakes the workers of a queue when a job was put onto it.

The notification is sent after the transaction, not inside: PostgreSQL commits transactions that notify one at a time,
each with its write to the disk. A lost notification costs only time: queues are also polled every half second.
"""

import asyncio
import logging
from contextlib import suppress

import sqlalchemy as sa

from services.errors import Unavailable
from services.orchestrator.store.database import Database
from services.orchestrator.store.notification_listener import ENTRIES

REST_S = 0.05
"""Seconds between two notifications, at least: all jobs that are queued meanwhile share one."""

NOTIFY = sa.text("SELECT pg_notify(:channel, backend) FROM unnest(CAST(:backends AS text[])) AS backend")

log = logging.getLogger(__name__)


class QueueNotifier:
    """The notifications of one process. The first is sent immediately."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: set[str] = set()
        self._sending: asyncio.Task[None] | None = None

    def notify(self, backend: str) -> None:
        """Wakes the workers of a backend's queue soon. Does not block."""
        self._pending.add(backend)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send(), name="queue-notifier")

    async def stop(self) -> None:
        """Ends what is under way."""
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending

    async def _send(self) -> None:
        while self._pending:
            backends, self._pending = sorted(self._pending), set()
            try:
                async with self._database.reading() as connection:
                    await connection.execute(NOTIFY, {"channel": ENTRIES, "backends": backends})
            except Unavailable:
                log.debug("no notification could be sent for a queue; its workers poll it")
            await asyncio.sleep(REST_S)
