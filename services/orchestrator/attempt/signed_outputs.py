"""Notes of the files that a job has signed, so that an attempt that died leaves none behind.

The note is stored before the bytes. The next attempt uses the file again if it made the same video; the end of the job
removes the files that no asset names.
"""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from services.errors import NotFound, Unavailable
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.signed_output import SignedOutput, from_bytes, note_key, to_bytes
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.blobs import Blobs

MEDIA_TYPE = "application/json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignedOutputs:
    """The signed files of jobs."""

    blobs: Blobs
    assets: Assets

    async def earlier(self, job: Job, unsigned_sha256: str) -> SignedOutput | None:
        """Returns what an earlier attempt made of the same bytes, if it is stored whole. Raises Unavailable."""
        if job.attempt == 1:
            return None
        for signed in await self._noted(job):
            if signed.unsigned_sha256 == unsigned_sha256 and await self.blobs.size(signed.key) == signed.size_bytes:
                return signed
        return None

    async def note(self, job: Job, signed: SignedOutput, folder: Path) -> None:
        """Notes a file; its bytes may be stored afterwards.

        Raises nothing: without the note a file stays behind only if this attempt dies before its end is recorded.
        """
        path = folder / "signed.json"
        path.unlink(missing_ok=True)  # a store on the same disk links the file
        try:
            noted = await self._noted(job) if job.attempt > 1 else []
            await asyncio.to_thread(path.write_bytes, to_bytes([*noted, signed]))
            await self.blobs.put_file(note_key(job.id), path, media_type=MEDIA_TYPE)
        except (Unavailable, OSError) as error:
            log.warning("a signed file cannot be noted", extra={"job_id": job.id, "cause": str(error)})

    async def discard(self, job: Job) -> None:
        """Removes the note of an ended job, and the files in it that no asset names. Raises nothing."""
        if job.attempt == 0:
            return
        try:
            for signed in await self._noted(job):
                if not await self.assets.is_stored(signed.sha256, tenant=signed.tenant):
                    await self.blobs.delete(signed.key)
            await self.blobs.delete(note_key(job.id))
        except Unavailable as error:
            log.warning("signed files of an ended job stay behind", extra={"job_id": job.id, "cause": str(error)})

    async def _noted(self, job: Job) -> list[SignedOutput]:
        try:
            return from_bytes(b"".join([chunk async for chunk in self.blobs.read(note_key(job.id))]))
        except NotFound:
            return []
