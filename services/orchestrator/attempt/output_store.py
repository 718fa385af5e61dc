"""Checks, marks, signs and stores the finished video."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from services.orchestrator.attempt.event_recorder import EventRecorder
from services.orchestrator.attempt.file_digest import file_sha256
from services.orchestrator.attempt.output_marking import OutputMarking
from services.orchestrator.attempt.output_signing import OutputSigning
from services.orchestrator.attempt.state import AttemptState
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.event import JobError, VideoOutput, Warned
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.manifest import MarkedBy
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.domain.output_differences import output_differences
from services.orchestrator.domain.spec import Size
from services.orchestrator.ports.backend import AttemptFailed, Output
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.media import Keep, NotMarked, Probe
from services.orchestrator.ports.meter import Meter
from services.reasons import JobReason, VendorReason
from services.tracing import spans


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file that is ready to be signed."""

    info: VideoInfo
    path: Path
    sha256: str
    marked_by: MarkedBy | None
    unmarked_because: str = ""
    """Why a vendor's video has no pixel mark, though it should."""


@dataclass(frozen=True, slots=True)
class OutputStore:
    """Probes a finished file, signs it and stores it. What the backend states about the file is not trusted."""

    blobs: Blobs
    event_recorder: EventRecorder
    marking: OutputMarking | None
    """Marks vendors' videos; None: they are not marked."""
    signing: OutputSigning
    probe: Probe
    keep_output: Keep
    """Probes a vendor's file."""
    meter: Meter

    async def store(self, state: AttemptState, card: ModelCard, output: Output) -> VideoOutput:
        """Stores the video and returns its facts; the final event records its asset.

        A vendor's video is paid for, so it is stored even if it differs from the request; the differences are recorded.

        Raises:
            AttemptFailed: OUTPUT_WRONG, an engine of our own made something else than it should.
            InvalidUpload: the file is not a playable video.
            Superseded, Unavailable
        """
        job = state.job
        with spans.begin("check video"):
            kept = await (self._kept(job, output) if card.remote is not None else self._probed(output))
        info = kept.info
        size = Size(info.width, info.height)
        if card.remote is None and (size, info.frames) != (expected := (job.spec.size, card.frames(job.spec))):
            message = f"The backend made {info.frames} frames of {size}, not {expected[1]} of {expected[0]}."
            raise AttemptFailed(JobError(VendorReason.OUTPUT_WRONG, message, retryable=True))
        with spans.begin("sign video"):
            video = await self.signing.finish(
                job,
                card,
                info,
                kept.path,
                kept.sha256,
                promised=output.promised,
                made_with=output.made_with,
                marked_by=kept.marked_by,
            )
        asset = video.asset
        if video.path is not None:
            await self.blobs.put_file(asset.key, video.path, media_type=info.media_type)
        state.output, state.manifest = (asset,), video.manifest
        warnings = list(output_differences(job.spec, info, output.promised)) if card.remote is not None else []
        if kept.unmarked_because:
            unmarked = f"The frames of the video carry no pixel mark: {kept.unmarked_because}."
            warnings.append(Warned(JobReason.OUTPUT_UNMARKED, unmarked))
        if video.unsigned_because:
            unsigned = f"The video carries no signed manifest: {video.unsigned_because}."
            warnings.append(Warned(JobReason.OUTPUT_UNSIGNED, unsigned))
        for warning in warnings:
            await self.event_recorder.record(state, warning)
            self.meter.warned(job, warning.reason)
        duration_ms = round(info.duration_s * 1000)
        return VideoOutput(asset.sha256, size, info.frames, info.fps, duration_ms, asset.size_bytes)

    async def _probed(self, output: Output) -> _Kept:
        path = output.path
        info, sha256 = await asyncio.gather(asyncio.to_thread(self.probe, path), asyncio.to_thread(file_sha256, path))
        return _Kept(info, path, sha256, MarkedBy.ENGINE if output.marked else None)

    async def _kept(self, job: Job, output: Output) -> _Kept:
        info, path = await asyncio.to_thread(self.keep_output, output.path)
        marked_by, because = None, ""
        if self.marking is not None:
            try:
                info, path = await self.marking.add(job, info, path)
                marked_by = MarkedBy.SERVICE
            except NotMarked as error:
                because = str(error)
        known = output.sha256 if path == output.path else ""
        return _Kept(info, path, known or await asyncio.to_thread(file_sha256, path), marked_by, because)
