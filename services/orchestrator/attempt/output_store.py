"""Checks, signs and stores the finished video."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from services.orchestrator.attempt.event_recorder import EventRecorder
from services.orchestrator.attempt.file_digest import file_sha256
from services.orchestrator.attempt.output_signing import OutputSigning
from services.orchestrator.attempt.state import AttemptState
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.event import JobError, VideoOutput, Warned
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.domain.output_differences import output_differences
from services.orchestrator.domain.spec import Size
from services.orchestrator.ports.backend import AttemptFailed, Output
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.media import Keep, Probe
from services.orchestrator.ports.meter import Meter
from services.reasons import JobReason, VendorReason


@dataclass(frozen=True, slots=True)
class OutputStore:
    """Probes a finished file, signs it and stores it. What the backend states about the file is not trusted."""

    blobs: Blobs
    event_recorder: EventRecorder
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
        info, path, sha256 = await (self._kept(output) if card.remote is not None else self._probed(output))
        size = Size(info.width, info.height)
        if card.remote is None and (size, info.frames) != (expected := (job.spec.size, card.frames(job.spec))):
            message = f"The backend made {info.frames} frames of {size}, not {expected[1]} of {expected[0]}."
            raise AttemptFailed(JobError(VendorReason.OUTPUT_WRONG, message, retryable=True))
        video = await self.signing.finish(
            job, card, info, path, sha256, promised=output.promised, made_with=output.made_with
        )
        asset = video.asset
        if video.path is not None:
            await self.blobs.put_file(asset.key, video.path, media_type=info.media_type)
        state.output, state.manifest = (asset,), video.manifest
        warnings = list(output_differences(job.spec, info, output.promised)) if card.remote is not None else []
        if video.unsigned_because:
            unsigned = f"The video carries no signed manifest: {video.unsigned_because}."
            warnings.append(Warned(JobReason.OUTPUT_UNSIGNED, unsigned))
        for warning in warnings:
            await self.event_recorder.record(state, warning)
            self.meter.warned(job, warning.reason)
        duration_ms = round(info.duration_s * 1000)
        return VideoOutput(asset.sha256, size, info.frames, info.fps, duration_ms, asset.size_bytes)

    async def _probed(self, output: Output) -> tuple[VideoInfo, Path, str]:
        path = output.path
        info, sha256 = await asyncio.gather(asyncio.to_thread(self.probe, path), asyncio.to_thread(file_sha256, path))
        return info, path, sha256

    async def _kept(self, output: Output) -> tuple[VideoInfo, Path, str]:
        info, path = await asyncio.to_thread(self.keep_output, output.path)
        if output.sha256 and path == output.path:
            return info, path, output.sha256
        return info, path, await asyncio.to_thread(file_sha256, path)
