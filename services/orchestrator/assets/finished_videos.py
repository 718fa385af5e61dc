"""Posters and thumbnails of videos that were just finished, made in the background."""

import asyncio
import logging

from services.errors import ServiceError
from services.orchestrator.assets.renditions import OnDemandRenditions
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.rendition import Variant
from services.tracing import spans
from services.tracing.trace_context import TraceContext

WAITING_MOST = 100

log = logging.getLogger(__name__)


class FinishedVideos:
    """Makes them one after the other, after the end of each job. What is lost with the process is made on demand."""

    def __init__(self, renditions: OnDemandRenditions) -> None:
        self._renditions = renditions
        self._waiting: asyncio.Queue[Job] = asyncio.Queue(WAITING_MOST)

    def add(self, job: Job) -> None:
        """Notes a job that has succeeded. Returns immediately; when too many wait, this one is left out."""
        if not self._waiting.full():
            self._waiting.put_nowait(job)

    async def make(self) -> None:
        """Makes what waits, until it is cancelled."""
        while True:
            job = await self._waiting.get()
            assert job.output is not None, "a job that has succeeded has an output"
            admission = TraceContext.of_text(job.trace_context)
            try:
                with spans.entry("poster", spans.Kind.INTERNAL, {"i2v.job": job.id}, parent=admission):
                    asset = await self._renditions.assets.get(job.output.asset, tenant=job.tenant, user=job.user)
                    await self._renditions.get(asset, Variant.POSTER)
            except ServiceError as error:
                log.info("a finished video has no poster yet", extra={"job_id": job.id, "cause": error.message})
            except Exception:
                log.exception("the poster of a finished video failed", extra={"job_id": job.id})
