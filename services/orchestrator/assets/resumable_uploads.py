"""Uploads that continue after a break: each part is stored before the next one is read."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from services.errors import InvalidUpload, PreconditionFailed, Violation
from services.orchestrator.assets.ingest import Ingest, Upload
from services.orchestrator.assets.upload_parts import UploadParts
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.open_upload import OpenUpload, UploadId
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.clock_and_ids import Clock, Ids
from services.orchestrator.ports.uploads import Uploads
from services.reasons import AssetReason

PART_BYTES = 4 << 20
"""What a break loses at most. A part is in memory once."""


@dataclass(frozen=True, slots=True)
class ResumableUploads:
    """Takes uploads in parts."""

    uploads: Uploads
    parts: UploadParts
    assets: Assets
    blobs: Blobs
    ingest: Ingest
    clock: Clock
    ids: Ids
    part_bytes: int = PART_BYTES

    async def take(
        self, upload_id: UploadId, offset: int, upload: Upload, chunks: AsyncIterator[bytes], caller: Caller
    ) -> Asset:
        """Stores the bytes from an offset; with the last of them, the asset.

        Raises:
            InvalidUpload: as for a whole upload, or the id belongs to another file.
            PreconditionFailed: the offset is not the number of bytes that have arrived, or more are to come.
            QuotaExceeded, Unavailable
        """
        opened = await self.open(upload_id, upload, caller)
        if opened.asset:
            return await self.assets.get(opened.asset, tenant=caller.tenant, user=caller.user)
        if offset != opened.received_bytes:
            what = f"Byte {opened.received_bytes} comes next, not byte {offset}."
            raise _out_of_step(what, AssetReason.UPLOAD_OFFSET_WRONG, opened.received_bytes)
        received = await self._receive(opened, chunks)
        if received < opened.size_bytes:
            what = f"{received} of {opened.size_bytes} bytes have arrived. Continue from byte {received}."
            raise _out_of_step(what, AssetReason.UPLOAD_INCOMPLETE, received)
        return await self.finish(await self.uploads.find(upload_id), caller)

    async def open(self, upload_id: UploadId, upload: Upload, caller: Caller) -> OpenUpload:
        """Begins an upload, or returns the one that has begun. Raises InvalidUpload, QuotaExceeded, Unavailable."""
        if not upload.size_bytes:
            what = "is missing: an upload with an id needs it"
            raise _refuse("header.size_bytes", what, AssetReason.UPLOAD_ID_MALFORMED)
        await self.ingest.check(upload, caller)
        new = OpenUpload(
            upload_id, upload.media_type, upload.size_bytes, upload.sha256, upload.details, self.clock.now()
        )
        opened = await self.uploads.begin(new)
        if not opened.same_file(new):
            what = "belongs to another file; give a new UUID for every new file"
            raise _refuse("header.upload_id", what, AssetReason.UPLOAD_ID_REUSED)
        return opened

    async def finish(self, opened: OpenUpload, caller: Caller) -> Asset:
        """Makes the asset of an upload that has arrived. Raises InvalidUpload, QuotaExceeded, Unavailable."""
        upload = Upload(opened.media_type, opened.size_bytes, opened.sha256, opened.details)
        try:
            asset = await self.ingest.take(upload, self.parts.read(opened), caller)
        except InvalidUpload:
            await self.parts.discard(opened)  # the same bytes would be refused again
            raise
        await self.uploads.finish(opened.id, asset.sha256)
        await self.parts.delete(opened)
        return asset

    async def _receive(self, opened: OpenUpload, chunks: AsyncIterator[bytes]) -> int:
        """Stores parts until the stream ends. Returns how many bytes have arrived in all."""
        received, part = opened.received_bytes, bytearray()
        with tempfile.TemporaryDirectory(prefix="part-", dir=self.ingest.spool, ignore_cleanup_errors=True) as folder:
            async for data in chunks:
                part += data
                if received + len(part) > opened.size_bytes:
                    what = f"is more than the {opened.size_bytes} bytes that the header said"
                    raise _refuse("data", what, AssetReason.SIZE_MISMATCH)
                if len(part) >= self.part_bytes:
                    received = await self._store(opened.id, received, bytes(part), Path(folder))
                    part.clear()
            return await self._store(opened.id, received, bytes(part), Path(folder)) if part else received

    async def _store(self, upload_id: UploadId, received: int, data: bytes, folder: Path) -> int:
        self.ingest.room(len(data))
        path = folder / str(received)  # a new file: a folder store keeps the one before under another name
        await asyncio.to_thread(path.write_bytes, data)
        # A name of its own: a call that was cancelled may still be storing a part from the same byte.
        key = f"{upload_id.prefix}{received:013d}.{self.ids.job_id()}"
        await self.blobs.put_file(key, path, media_type="application/octet-stream")
        await asyncio.to_thread(path.unlink)  # a file of 2 GB must not lie here twice
        if not await self.uploads.advance(upload_id, received, key, len(data)):
            await self.blobs.delete(key)  # the upload may be gone, and no record names this part
            now = (await self.uploads.find(upload_id)).received_bytes
            what = f"Another call continues this upload. Byte {now} comes next."
            raise _out_of_step(what, AssetReason.UPLOAD_OFFSET_WRONG, now)
        return received + len(data)


def _out_of_step(what: str, reason: AssetReason, received: int) -> PreconditionFailed:
    return PreconditionFailed(what, reason=reason, metadata={"received_bytes": str(received)})


def _refuse(field: str, what: str, reason: AssetReason) -> InvalidUpload:
    return InvalidUpload([Violation(field, what, reason)], reason=reason)
