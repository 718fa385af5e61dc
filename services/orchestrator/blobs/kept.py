"""KeptBlobs: a blob store whose assets are kept from the collector while they are stored."""

from dataclasses import dataclass
from pathlib import Path

from services.orchestrator.blobs.wrapped import WrappedBlobs
from services.orchestrator.domain.asset import owner_of_key
from services.orchestrator.ports.blob_removals import BlobRemovals
from services.orchestrator.ports.clock_and_ids import Clock


@dataclass(frozen=True, slots=True)
class KeptBlobs(WrappedBlobs):
    """Asks before each asset that is stored. Everything else is as the store does it."""

    removals: BlobRemovals
    clock: Clock

    async def put_file(self, key: str, path: Path, *, media_type: str) -> None:
        """Stores a file's bytes. Raises Unavailable, also while the same bytes are being removed."""
        if owner := owner_of_key(key):
            await self.removals.keep(*owner, self.clock.now())
        await self.store.put_file(key, path, media_type=media_type)
