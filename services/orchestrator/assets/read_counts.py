"""ReadCounts: how often assets and shares are read, collected in memory, so that a read writes nothing.

A process that is killed loses what it collected since its last write. A write whose answer is lost may count twice.
"""

import asyncio
import logging
from collections.abc import Hashable
from typing import TypeVar

from services.errors import Unavailable
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.read_counts import ReadCounters, Reads

EVERY_S = 5.0
KEYS_MOST = 100_000
"""Entries, and shares, that are remembered while the database is away; the reads of others are not counted."""
LAST_S = 5.0
"""Most that the last write may take."""

Key = TypeVar("Key", bound=Hashable)
log = logging.getLogger(__name__)


class ReadCounts:
    """The reads of one process."""

    def __init__(self, counters: ReadCounters, clock: Clock) -> None:
        self._counters = counters
        self._clock = clock
        self._entries: dict[EntryKey, Reads] = {}
        self._shares: dict[int, Reads] = {}

    def read(self, entry: EntryKey, *, complete: bool, share: int | None = None) -> None:
        """Bytes of an asset were read, through a share or not; `complete`: all of them, so it was downloaded."""
        self._add(self._entries, entry, Reads(self._clock.now(), downloads=int(complete)))
        if share is not None and complete:
            self._add(self._shares, share, Reads(self._clock.now(), downloads=1))

    def viewed(self, share: int) -> None:
        """The first page of a share was shown."""
        self._add(self._shares, share, Reads(self._clock.now(), views=1))

    async def write(self) -> None:
        """Writes what was collected. Raises Unavailable; then it is kept for the next time."""
        entries, shares = self._entries, self._shares
        if not entries and not shares:
            return
        self._entries, self._shares = {}, {}
        try:
            await self._counters.add(entries, shares)
        except BaseException:  # a write that was cancelled too
            for key, reads in entries.items():
                self._add(self._entries, key, reads)
            for number, reads in shares.items():
                self._add(self._shares, number, reads)
            raise

    async def keep_writing(self, every_s: float = EVERY_S) -> None:
        """Writes every few seconds."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.write()
            except Unavailable:
                log.debug("the counts of reads could not be written; they will be later")

    async def end(self) -> None:
        """Writes for the last time."""
        try:
            async with asyncio.timeout(LAST_S):
                await self.write()
        except (Unavailable, TimeoutError):
            log.warning("the last counts of reads could not be written", extra={"assets": len(self._entries)})

    @staticmethod
    def _add(counted: dict[Key, Reads], key: Key, reads: Reads) -> None:
        known = counted.get(key)
        if known is None:
            if len(counted) < KEYS_MOST:
                counted[key] = reads
            return
        known.time = max(known.time, reads.time)
        known.downloads += reads.downloads
        known.views += reads.views
