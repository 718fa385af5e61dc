"""Adds the pixel mark to vendors' videos, in child processes, in tenants' turns."""

import os
import threading
from pathlib import Path

from services.errors import InvalidUpload, Unavailable
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.media.fair_thread_pool import FairThreadPool
from services.orchestrator.media.probe import look, probe_output
from services.orchestrator.media.sandbox import CallGivenUp, GivenUp, Sandbox
from services.orchestrator.ports.media import NotMarked
from services.reasons import AssetReason

LIMIT_S = 240.0
"""Of processor time."""
AT_ONCE = max(2, min(8, os.cpu_count() or 2))
MOST_PIXELS = 4_000_000_000
"""Pixels of all frames that are encoded again: 64 s of 1080p with 30 frames a second."""
LATE_S = 0.1
"""Seconds by which the length of the video and of its sound may change."""

_encodings = Sandbox("encodings", size=AT_ONCE, limit_s=LIMIT_S)


class SandboxedMarking:
    """The OutputMarker port, over a few children."""

    def __init__(self, sandbox: Sandbox = _encodings, at_once: int = AT_ONCE) -> None:
        self._sandbox = sandbox
        self._turns = FairThreadPool(at_once, "encodings")

    async def mark(self, path: Path, info: VideoInfo, *, tenant: str) -> tuple[VideoInfo, Path]:
        """Writes a video again as an MP4 next to it, with the mark and the same sound. Raises NotMarked."""
        given_up = threading.Event()
        try:
            return await self._turns.run(tenant, lambda: _mark(self._sandbox, path, info, given_up.is_set))
        finally:
            given_up.set()


def _mark(sandbox: Sandbox, path: Path, info: VideoInfo, given_up: GivenUp) -> tuple[VideoInfo, Path]:
    pixels = info.width * info.height * info.frames
    if pixels > MOST_PIXELS:
        raise NotMarked(
            f"its frames have {pixels // 10**6} million pixels; the limit is {MOST_PIXELS // 10**6} million"
        )
    marked = path.with_name(f"{path.stem}.marked.mp4")
    try:
        with marked.open("w+b") as target:
            look(sandbox, path, AssetReason.VIDEO_UNREADABLE, "video", target, given_up=given_up)
        made = probe_output(marked)
    except InvalidUpload as refused:
        raise NotMarked(f"it {refused.violations[0].description}") from refused
    except (Unavailable, OSError) as error:
        raise NotMarked(str(error)) from error
    except CallGivenUp as late:
        raise NotMarked("there was too little time") from late
    if not _same(info, made):
        raise NotMarked("its frames or its sound would not stay the same")
    return made, marked


def _same(came: VideoInfo, made: VideoInfo) -> bool:
    sounds = (came.audio_s, made.audio_s)
    return (
        (made.width, made.height, made.frames) == (came.width, came.height, came.frames)
        and abs(made.duration_s - came.duration_s) <= max(LATE_S, 1 / came.fps)
        and (sounds == (None, None) or (None not in sounds and abs((sounds[0] or 0) - (sounds[1] or 0)) <= LATE_S))
    )
