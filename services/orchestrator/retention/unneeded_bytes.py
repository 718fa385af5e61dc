"""The collector: removes the bytes that no asset of their tenant needs any more.

Three steps, each of which can be repeated: the removal begins in the database, the bytes go, the removal ends. A
process that is killed between them leaves a row, and the next round continues with it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.asset import blob_key
from services.orchestrator.domain.retention import Due, Kind
from services.orchestrator.ports.blob_removals import BlobRemovals, Unneeded
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.library_meter import LibraryMeter

BLOBS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class UnneededBytes:
    """The removal of bytes."""

    removals: BlobRemovals
    blobs: Blobs
    remove_renditions: Callable[[str, str], Awaitable[int]]
    """Removes everything that was made of a tenant's bytes, by their digest."""
    meter: LibraryMeter

    @property
    def kind(self) -> Kind:
        """Bytes."""
        return Kind.BYTES

    async def due(self, before: datetime) -> Due:
        """Returns which bytes have not been needed since before this time."""
        return await self.removals.due(before)

    async def batches(self, before: datetime) -> AsyncGenerator[int, None]:
        """Removes some bytes, and yields the number of assets that they belonged to."""
        while begun := await self.removals.begin(before, limit=BLOBS_AT_ONCE):
            for unneeded in begun:
                await self._remove(unneeded)
            yield len(begun)

    async def _remove(self, unneeded: Unneeded) -> None:
        await self.remove_renditions(unneeded.tenant, unneeded.sha256)
        key = blob_key(unneeded.tenant, unneeded.sha256)
        size_bytes = await self.blobs.size(key)
        await self.blobs.delete(key)
        self.meter.bytes_removed(size_bytes or 0)
        await self.removals.end(unneeded)
