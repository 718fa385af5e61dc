"""A look inside files that others made, before anything of them is believed."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from services.orchestrator.domain.media import AudioInfo, PictureInfo, VideoInfo

Probe = Callable[[Path], VideoInfo]
"""Looks inside a video file. Blocking. Raises InvalidUpload when it is not a playable MP4."""

Keep = Callable[[Path], tuple[VideoInfo, Path]]
"""Looks inside a video that a vendor made. Returns what is in the file to keep, and that file. Blocking.

Raises InvalidUpload when it cannot be played.
"""


class Media(Protocol):
    """Looks inside what tenants upload, in turns. A violation names the field `data`."""

    async def picture(self, path: Path, out: Path, *, tenant: str) -> PictureInfo:
        """Decodes a picture in a cage and writes it to `out` again, clean. Raises InvalidUpload, Unavailable."""

    async def video(self, path: Path, *, tenant: str) -> VideoInfo:
        """Looks inside a video. Raises InvalidUpload when it is not a playable MP4; Unavailable."""

    async def sound(self, path: Path, *, tenant: str) -> AudioInfo:
        """Looks inside a sound. Raises InvalidUpload when there is nothing to hear in it; Unavailable."""
