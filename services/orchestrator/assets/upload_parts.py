"""The stored parts of uploads: what has arrived of a file that is not an asset yet."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from services.errors import NotFound, Unavailable
from services.orchestrator.domain.open_upload import UPLOADS, OpenUpload
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.uploads import Uploads
from services.reasons import AssetReason

LISTED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class UploadParts:
    """Reads and removes parts."""

    uploads: Uploads
    blobs: Blobs

    async def read(self, upload: OpenUpload) -> AsyncIterator[bytes]:
        """Yields the bytes of all parts, in order. Raises Unavailable, and forgets the upload if a part is gone."""
        for key in upload.parts:
            try:
                async for chunk in self.blobs.read(key):
                    yield chunk
            except NotFound as error:
                await self.discard(upload)
                lost = "A part of the upload is not in the blob store any more. Begin again with a new id."
                raise Unavailable(lost, reason=AssetReason.UPLOAD_PART_LOST) from error

    async def discard(self, upload: OpenUpload) -> None:
        """Removes an upload and what has arrived of it. Raises Unavailable."""
        await self.delete(upload)
        await self.uploads.forget(upload.id)

    async def delete(self, upload: OpenUpload) -> None:
        """Deletes what has arrived of an upload, also parts that no record names. Raises Unavailable."""
        after = upload.id.prefix
        while stored := await self.blobs.stored(UPLOADS, after=after, limit=LISTED_AT_ONCE):
            for blob in stored:
                if not blob.key.startswith(upload.id.prefix):
                    return
                await self.blobs.delete(blob.key)
            after = stored[-1].key
