"""Probes the uploads of tenants, in turns, on threads of its own: an upload waits for no other kind of work."""

from pathlib import Path

from services.orchestrator.domain.media_info import AudioInfo, PictureInfo, VideoInfo
from services.orchestrator.media import probe
from services.orchestrator.media.fair_thread_pool import FairThreadPool
from services.orchestrator.media.picture import normalise


class UploadProbe:
    """The Media port, over the child processes of picture.py and probe.py."""

    def __init__(self) -> None:
        self._videos = FairThreadPool(probe.AT_ONCE, "videos")
        self._sounds = FairThreadPool(probe.AT_ONCE, "sounds")

    async def picture(self, path: Path, out: Path, *, tenant: str) -> PictureInfo:
        """Writes the picture again, clean. Raises InvalidUpload, Unavailable."""
        return await normalise(path, out, field="data", tenant=tenant)

    async def video(self, path: Path, *, tenant: str) -> VideoInfo:
        """Probes a video. Raises InvalidUpload, Unavailable."""
        return await self._videos.run(tenant, lambda: probe.probe(path))

    async def sound(self, path: Path, *, tenant: str) -> AudioInfo:
        """Probes a sound. Raises InvalidUpload, Unavailable."""
        return await self._sounds.run(tenant, lambda: probe.probe_audio(path))
