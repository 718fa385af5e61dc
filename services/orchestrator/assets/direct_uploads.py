"""Uploads that go to the blob store directly, by a signed form, and become assets afterwards."""

from dataclasses import dataclass

from services.errors import PreconditionFailed
from services.orchestrator.assets.ingest import Upload
from services.orchestrator.assets.resumable_uploads import ResumableUploads
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.open_upload import UploadId
from services.orchestrator.ports.blobs import Blobs, SignedPost
from services.reasons import AssetReason

FORM_S = 3600
"""Seconds for which a form can be sent."""


@dataclass(frozen=True, slots=True)
class DirectUploads:
    """Signs forms, and finishes what was sent by them."""

    uploads: ResumableUploads
    blobs: Blobs

    async def create(self, upload_id: UploadId, upload: Upload, caller: Caller) -> SignedPost:
        """Returns the form for a file. Raises InvalidUpload, PreconditionFailed, QuotaExceeded, Unavailable."""
        opened = await self.uploads.open(upload_id, upload, caller)
        form = await self.blobs.signed_post(_key(upload_id), most_bytes=opened.size_bytes, expires_s=FORM_S)
        if form is None:
            raise PreconditionFailed(
                "Files cannot be sent to the store directly here. Use WriteAsset.",
                reason=AssetReason.DIRECT_UPLOAD_UNAVAILABLE,
            )
        return form

    async def finalize(self, upload_id: UploadId, caller: Caller) -> Asset:
        """Makes the asset of what has arrived.

        Raises:
            InvalidUpload: another file has arrived than was announced. The upload is removed.
            NotFound: there is no such upload.
            PreconditionFailed: nothing has arrived.
            QuotaExceeded, Unavailable
        """
        opened = await self.uploads.uploads.find(upload_id)
        if opened.asset:
            return await self.uploads.assets.get(opened.asset, tenant=caller.tenant, user=caller.user)
        key = _key(upload_id)
        size = await self.blobs.size(key)
        if size is None:
            missing = "Nothing has arrived at the address of this upload. Send the form first."
            raise PreconditionFailed(missing, reason=AssetReason.DIRECT_UPLOAD_MISSING)
        if not opened.received_bytes:
            await self.uploads.uploads.advance(upload_id, 0, key, min(size, opened.size_bytes))
        return await self.uploads.finish(await self.uploads.uploads.find(upload_id), caller)


def _key(upload_id: UploadId) -> str:
    return f"{upload_id.prefix}direct"
