"""Checkpoints: what an attempt leaves in the blob store, so that the next one need not do the same work again.

They are an aid, never the truth: without one, or with a damaged one, the next attempt does more, and that is all. So
nothing here fails a job but a store that cannot be read when there may be something to read: waiting for it is cheaper
than making everything again.

An attempt that was followed by another, and does not know it yet, may still write over a checkpoint. That is harmless.
It is of the same job, so its bytes are the same, or they are such that the backend sees that they do not follow those
before; from there on it makes everything again. What such an attempt writes after the end it removes itself.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from services.errors import NotFound, Unavailable
from services.orchestrator.domain.asset import checkpoint_key
from services.orchestrator.domain.job import Job
from services.orchestrator.ports.backend import Checkpoint
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.meter import Meter

MEDIA_TYPE = "application/octet-stream"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Checkpoints:
    """The checkpoints of one job, as one of its attempts sees them."""

    blobs: Blobs
    meter: Meter
    job: Job
    _waiting: list[Checkpoint] = field(default_factory=list)
    """Not stored yet, in order: a gap would make all that lies behind it worthless, and hide it from `discard`."""
    _end: int = 0
    """Every index that this attempt knows to be stored is below."""

    async def load(self) -> tuple[bytes, ...]:
        """Returns what earlier attempts left, up to the first that is missing. Raises Unavailable."""
        found: list[bytes] = []
        try:
            while self.job.attempt > 1:
                chunks = self.blobs.read(checkpoint_key(self.job.id, len(found)))
                found.append(b"".join([chunk async for chunk in chunks]))
        except NotFound:
            pass
        self._end = len(found)
        return tuple(found)

    async def save(self, checkpoint: Checkpoint, workdir: Path) -> None:
        """Stores a checkpoint. One that cannot be stored now is tried again with the next."""
        self._waiting.append(checkpoint)
        while self._waiting:
            path = workdir / "checkpoint"
            try:
                # A new file each time: a store on the same disk keeps this very one under another name.
                path.unlink(missing_ok=True)
                path.write_bytes(self._waiting[0].data)
                key = checkpoint_key(self.job.id, self._waiting[0].index)
                await self.blobs.put_file(key, path, media_type=MEDIA_TYPE)
            except (Unavailable, OSError) as trouble:
                self.meter.checkpoint_failed(self.job)
                log.warning("a checkpoint cannot be stored; the job goes on without", extra={"error": str(trouble)})
                return
            self._end = max(self._end, self._waiting.pop(0).index + 1)

    async def discard(self) -> None:
        """Removes the checkpoints of a job that has ended: its own, and what else it finds. Fails nothing."""
        if self.job.attempt == 0:
            return
        try:
            while await self.blobs.size(checkpoint_key(self.job.id, self._end)) is not None:
                self._end += 1
            # The last one first: whoever goes on after a crash looks for index 0.
            for index in reversed(range(self._end)):
                await self.blobs.delete(checkpoint_key(self.job.id, index))
        except Unavailable as trouble:
            log.warning(
                "the checkpoints of an ended job stay behind", extra={"job_id": self.job.id, "error": str(trouble)}
            )
