"""Whether the stored bytes are those that the database names: reads everything, slowly, and changes nothing."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from services.errors import NotFound
from services.orchestrator.domain.asset import TENANTS
from services.orchestrator.ports.blob_references import BlobReferences
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.clock_and_ids import Clock

PAGE = 500
UNREFERENCED_AFTER = timedelta(days=1)
"""Bytes are stored before their row is written; younger ones may belong to an upload or a job under way."""


class Phase(StrEnum):
    """What a scrub does, in this order."""

    READING = "reading"
    LISTING = "listing"


class Fault(StrEnum):
    """What is wrong with a key."""

    MISSING = "missing"
    ALTERED = "altered"
    UNREFERENCED = "unreferenced"


@dataclass(frozen=True, slots=True)
class Looked:
    """The last key that was looked at, what is wrong with it, and the bytes that were read since the last value."""

    phase: Phase
    key: str
    size_bytes: int = 0
    fault: Fault | None = None
    complete: bool = True
    """False: only a part of the next key was read."""


@dataclass(frozen=True, slots=True)
class Scrub:
    """Compares a blob store with the database."""

    blobs: Blobs
    references: BlobReferences
    clock: Clock

    async def run(self, phase: Phase, key: str, *, bytes_per_second: int) -> AsyncIterator[Looked]:
        """Yields each key that was looked at, from the one after `key` of a phase, and parts. Raises Unavailable."""
        if phase == Phase.READING:
            async for looked in self._read(key, bytes_per_second):
                yield looked
            key = ""
        async for looked in self._list(key):
            yield looked

    async def _read(self, after: str, bytes_per_second: int) -> AsyncIterator[Looked]:
        while page := await self.references.named(after=after, limit=PAGE):
            for named in page:
                digest = hashlib.sha256()
                fault: Fault | None = None
                try:
                    async for chunk in self.blobs.read(named.key):
                        await asyncio.to_thread(digest.update, chunk)
                        await asyncio.sleep(len(chunk) / bytes_per_second)
                        yield Looked(Phase.READING, after, len(chunk), complete=False)
                except NotFound:
                    # Its row may have been removed since the page was read.
                    fault = None if await self.references.unnamed([named.key]) else Fault.MISSING
                else:
                    fault = None if digest.hexdigest() == named.sha256 else Fault.ALTERED
                yield Looked(Phase.READING, named.key, fault=fault)
                after = named.key

    async def _list(self, after: str) -> AsyncIterator[Looked]:
        # Checkpoints and incomplete uploads, which have other keys, are removed by their age.
        while page := await self.blobs.stored(TENANTS, after=after, limit=PAGE):
            old = self.clock.now() - UNREFERENCED_AFTER
            unnamed = await self.references.unnamed([each.key for each in page if each.write_time < old])
            for each in page:
                fault = Fault.UNREFERENCED if each.key in unnamed else None
                yield Looked(Phase.LISTING, each.key, fault=fault)
            after = page[-1].key
