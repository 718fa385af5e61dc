"""Checkpoints: what an attempt stores so that the next one can skip the work.

They are an optimisation: if one is missing or damaged, the next attempt does more work. So errors here fail no job. If
checkpoints that may exist cannot be read, the attempt is retried later: that is cheaper than doing all the work again.

An attempt that does not know yet that it was superseded may overwrite a checkpoint. That is harmless: the bytes are the
same, or the backend detects that they do not follow the ones before and generates the rest again. What such an attempt
stores after the job's end it removes itself.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from services.errors import NotFound, Unavailable
from services.orchestrator.attempt.signed_outputs import SignedOutputs
from services.orchestrator.domain.asset import checkpoint_key
from services.orchestrator.domain.job import Job
from services.orchestrator.ports.backend import Checkpoint
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.meter import Meter

MEDIA_TYPE = "application/octet-stream"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Checkpoints:
    """The checkpoints of one job, for one of its attempts."""

    blobs: Blobs
    meter: Meter
    job: Job
    signed: SignedOutputs
    _unsaved: list[Checkpoint] = field(default_factory=list)
    """Not stored yet, in order: a gap would make the ones after it useless, and hide them from `discard`."""
    _end: int = 0
    """One more than the highest index that is known to be stored."""

    async def load(self) -> tuple[bytes, ...]:
        """Returns the checkpoints of earlier attempts, up to the first gap. Raises Unavailable."""
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
        """Stores a checkpoint. If that fails, it is retried with the next one."""
        self._unsaved.append(checkpoint)
        while self._unsaved:
            path = workdir / "checkpoint"
            try:
                # A new file each time: a store on the same disk links the file instead of copying it.
                path.unlink(missing_ok=True)
                path.write_bytes(self._unsaved[0].data)
                key = checkpoint_key(self.job.id, self._unsaved[0].index)
                await self.blobs.put_file(key, path, media_type=MEDIA_TYPE)
            except (Unavailable, OSError) as error:
                self.meter.checkpoint_failed(self.job)
                log.warning("a checkpoint cannot be stored; the job continues without it", extra={"cause": str(error)})
                return
            self._end = max(self._end, self._unsaved.pop(0).index + 1)

    async def discard(self) -> None:
        """Removes all checkpoints of an ended job, and the files that it signed and did not record. Raises nothing."""
        if self.job.attempt == 0:
            return
        await self.signed.discard(self.job)
        try:
            while await self.blobs.size(checkpoint_key(self.job.id, self._end)) is not None:
                self._end += 1
            # The last one first: after a crash, the next call searches from index 0.
            for index in reversed(range(self._end)):
                await self.blobs.delete(checkpoint_key(self.job.id, index))
        except Unavailable as error:
            log.warning(
                "the checkpoints of an ended job stay behind", extra={"job_id": self.job.id, "cause": str(error)}
            )
