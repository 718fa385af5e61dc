"""Uploads that can continue after a break. Their bytes are in the blob store."""

from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.open_upload import OpenUpload, UploadId


class Uploads(Protocol):
    """The uploads of all users. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def begin(self, upload: OpenUpload) -> OpenUpload:
        """Records a new upload. Returns the one that is recorded: of the same id, the first."""

    async def find(self, upload_id: UploadId) -> OpenUpload:
        """Returns an upload. Raises NotFound."""

    async def advance(self, upload_id: UploadId, received: int, part: str, size: int) -> bool:
        """Records a part of `size` bytes after the first `received` ones.

        Returns False if other than these have arrived.
        """

    async def finish(self, upload_id: UploadId, asset: str) -> None:
        """Records that the upload became an asset."""

    async def expired(self, before: datetime, limit: int) -> list[OpenUpload]:
        """Returns uploads that began before this time, the oldest first."""

    async def of_user(self, tenant: str, user: str, limit: int) -> list[OpenUpload]:
        """Returns uploads of a user."""

    async def forget(self, upload_id: UploadId) -> None:
        """Removes an upload."""
