"""Removes checkpoints that were not removed at the end of their job: its worker was killed, or the blob store was away.

They are found by their keys, so also those of jobs that are not in the database any more. With the note of signed files
go the files that no asset names.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.asset import CHECKPOINTS, job_of_checkpoint
from services.orchestrator.domain.retention import NOTHING_DUE, Due, Kind
from services.orchestrator.domain.signed_output import SUFFIX, from_bytes
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.blobs import Blobs, StoredBlob
from services.orchestrator.ports.retention import OldJobs

BLOBS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class OldCheckpoints:
    """The removal of checkpoints."""

    jobs: OldJobs
    blobs: Blobs
    assets: Assets

    @property
    def kind(self) -> Kind:
        """Checkpoints."""
        return Kind.CHECKPOINTS

    async def due(self, before: datetime) -> Due:
        """Returns which unneeded checkpoints were written before this time."""
        found = [stored async for page in self._pages(before) for stored in page]
        return Due(len(found), min(stored.write_time for stored in found)) if found else NOTHING_DUE

    async def batches(self, before: datetime) -> AsyncGenerator[int, None]:
        """Removes some checkpoints, and yields their number."""
        async for page in self._pages(before):
            for stored in page:
                await self._remove(stored)
            yield len(page)

    async def remove_of(self, job_id: str) -> None:
        """Removes all checkpoints of a job. Raises Unavailable."""
        prefix = after = f"{CHECKPOINTS}{job_id}."
        while page := await self.blobs.stored(CHECKPOINTS, after=after, limit=BLOBS_AT_ONCE):
            for stored in page:
                if not stored.key.startswith(prefix):
                    return
                await self._remove(stored)
            after = page[-1].key

    async def _remove(self, stored: StoredBlob) -> None:
        if stored.key.endswith(SUFFIX):
            await self._remove_signed(stored.key)
        await self.blobs.delete(stored.key)

    async def _remove_signed(self, note: str) -> None:
        """Removes the files that a job has signed and no asset names."""
        for signed in from_bytes(b"".join([chunk async for chunk in self.blobs.read(note)])):
            if not await self.assets.is_stored(signed.sha256, tenant=signed.tenant):
                await self.blobs.delete(signed.key)

    async def _pages(self, before: datetime) -> AsyncIterator[list[StoredBlob]]:
        after = ""
        while page := await self.blobs.stored(CHECKPOINTS, after=after, limit=BLOBS_AT_ONCE):
            jobs = {stored.key: job_of_checkpoint(stored.key) for stored in page if stored.write_time < before}
            needed = await self.jobs.needing_checkpoints(set(jobs.values()))
            yield [stored for stored in page if stored.key in jobs and jobs[stored.key] not in needed]
            after = page[-1].key
