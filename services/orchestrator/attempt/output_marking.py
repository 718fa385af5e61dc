"""Adds the pixel mark to a vendor's video, if that can be done in the time that the job has."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from services.orchestrator.domain.job import Job
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.media import NotMarked, OutputMarker

MOST_S = 600.0
"""Seconds that the mark of one video may take, with the wait for those of other jobs."""
SHARE_OF_REST = 0.5
"""The mark takes at most this part of the time to the job's deadline: the video must still be signed and stored."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OutputMarking:
    """Marks files before they are signed. A video that cannot be marked is paid for, so it is delivered as it is."""

    marker: OutputMarker
    clock: Clock

    async def add(self, job: Job, info: VideoInfo, path: Path) -> tuple[VideoInfo, Path]:
        """Returns the facts of the marked file, and that file. Raises NotMarked, for any reason."""
        left_s = (job.expire_time - self.clock.now()).total_seconds() * SHARE_OF_REST
        try:
            async with asyncio.timeout(min(MOST_S, max(0.0, left_s))):
                return await self.marker.mark(path, info, tenant=job.tenant)
        except NotMarked as error:
            log.warning("a vendor's video stays without the pixel mark", extra={"cause": str(error)})
            raise
        except TimeoutError as late:
            log.warning("a vendor's video stays without the pixel mark", extra={"cause": "too little time"})
            raise NotMarked("there was too little time before the job's deadline") from late
        except Exception as error:
            log.exception("a vendor's video stays without the pixel mark")
            raise NotMarked("an internal error; it has been logged") from error
