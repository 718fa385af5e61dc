"""Probing of foreign files: nothing that they claim is used without a check."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from services.orchestrator.domain.media_info import AudioInfo, PictureInfo, VideoInfo

Probe = Callable[[Path], VideoInfo]
"""Probes a video file. Blocking. Raises InvalidUpload when it is not a playable MP4."""

Keep = Callable[[Path], tuple[VideoInfo, Path]]
"""Probes a vendor's video. Returns the facts of the file to keep, and that file. Blocking.

Raises InvalidUpload when it cannot be played.
"""


class NotMarked(Exception):
    """The video stays without the pixel mark; the message says why."""


class OutputMarker(Protocol):
    """Adds the pixel mark to vendors' videos, tenants in turns."""

    async def mark(self, path: Path, info: VideoInfo, *, tenant: str) -> tuple[VideoInfo, Path]:
        """Writes a video again, marked. Returns the facts of the new file, and that file.

        `info` was measured of `path`. Cancelling stops the work. Raises NotMarked.
        """


class Media(Protocol):
    """Probes the uploads of tenants, in turns. A violation names the field `data`."""

    async def picture(self, path: Path, out: Path, *, tenant: str) -> PictureInfo:
        """Decodes a picture in the sandbox and writes it again to `out`. Raises InvalidUpload, Unavailable."""

    async def video(self, path: Path, *, tenant: str) -> VideoInfo:
        """Probes a video. Raises InvalidUpload when it is not a playable MP4; Unavailable."""

    async def sound(self, path: Path, *, tenant: str) -> AudioInfo:
        """Probes a sound. Raises InvalidUpload if it has no audible sound; Unavailable."""
