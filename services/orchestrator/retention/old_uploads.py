"""Removes uploads that were not finished, and the records of those that were."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.open_upload import OpenUpload
from services.orchestrator.domain.retention import NOTHING_DUE, Due, Kind
from services.orchestrator.ports.uploads import Uploads

UPLOADS_AT_ONCE = 100
COUNT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class OldUploads:
    """The removal of uploads."""

    uploads: Uploads
    discard: Callable[[OpenUpload], Awaitable[None]]
    """Removes an upload and what has arrived of it."""

    @property
    def kind(self) -> Kind:
        """Uploads."""
        return Kind.UPLOADS

    async def due(self, before: datetime) -> Due:
        """Returns which uploads began before this time."""
        found = await self.uploads.expired(before, COUNT_MOST)
        return Due(len(found), found[0].create_time) if found else NOTHING_DUE

    async def batches(self, before: datetime) -> AsyncGenerator[int, None]:
        """Removes some uploads, and yields their number."""
        while page := await self.uploads.expired(before, UPLOADS_AT_ONCE):
            for upload in page:
                await self.discard(upload)
            yield len(page)
