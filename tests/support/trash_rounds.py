"""What tests of the trash share: a rig of a store and a folder, and rounds of the collector."""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.errors import NotFound
from services.orchestrator.assets.renditions import OnDemandRenditions
from services.orchestrator.blobs.kept import KeptBlobs
from services.orchestrator.domain.asset import Asset, blob_key
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.library_metrics import LibraryMetrics
from services.orchestrator.media.rendition_maker import SandboxedRenditions
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.retention.unneeded_bytes import UnneededBytes
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import FakeClock, a_caller
from tests.support.old_jobs import Bytes, digest

GRACE = timedelta(days=1)


@dataclass(frozen=True)
class TrashRig:
    """A store, a folder and a clock."""

    store: PostgresStore
    stored: Bytes
    clock: FakeClock
    folder: Path

    def video(self, name: str, user: str = "ann", tenant: str = "studio") -> Asset:
        info = VideoInfo("video/mp4", 64, 32, 4, 8.0, 0.5)
        return Asset(tenant, user, digest(name), 4, info, self.clock.now())

    async def upload(self, name: str, user: str = "ann", tenant: str = "studio") -> EntryKey:
        """As an upload does: first the bytes, then the record. Raises Unavailable."""
        asset = self.video(name, user, tenant)
        source = self.folder / "upload"
        source.unlink(missing_ok=True)  # a folder store keeps the one before under another name
        source.write_bytes(name.encode())
        kept = KeptBlobs(self.stored.blobs, self.store.blob_removals, self.clock)
        await kept.put_file(asset.key, source, media_type="video/mp4")
        await self.store.assets.put(asset, replace(a_caller(user), tenant=tenant))
        return EntryKey(tenant, user, asset.sha256)

    async def readable(self, key: EntryKey) -> bool:
        """Whether the asset can be read. Fails if its record is there and its bytes are not."""
        try:
            asset = await self.store.assets.get(key.sha256, tenant=key.tenant, user=key.user)
        except NotFound:
            return False
        assert await self.stored.has(asset.key), "an asset has lost its bytes"
        return True

    def renditions(self, blobs: Blobs) -> OnDemandRenditions:
        """What is made of assets."""
        meter, maker = LibraryMetrics(CollectorRegistry()), SandboxedRenditions()
        return OnDemandRenditions(
            self.store.renditions, maker, self.store.assets, blobs, self.clock, meter, self.folder
        )

    async def has_bytes(self, key: EntryKey) -> bool:
        return await self.stored.has(blob_key(key.tenant, key.sha256))

    async def collect(self, blobs: Blobs | None = None) -> None:
        """A round of the collector now. Raises what the blobs raise."""
        to = blobs or self.stored.blobs
        collector = UnneededBytes(
            self.store.blob_removals, to, self.renditions(to).remove, LibraryMetrics(CollectorRegistry())
        )
        async for _ in collector.batches(self.clock.now() - GRACE):
            pass
