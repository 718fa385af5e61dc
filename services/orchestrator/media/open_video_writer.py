"""Opens a VideoWriter. FFmpeg comes with the first one: an idle worker does without."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.orchestrator.media.video_writer import VideoWriter


async def open_video_writer(width: int, height: int, fps: float, *, marked: bool) -> "VideoWriter":
    """Returns a writer for a video of so many pixels and frames a second; `marked`: with the invisible mark.

    The first call imports FFmpeg, which takes about 0.1 s of processor time, in a thread.
    """
    return await asyncio.to_thread(_open, width, height, fps, marked)


def _open(width: int, height: int, fps: float, marked: bool) -> "VideoWriter":
    from services.orchestrator.media.video_writer import VideoWriter

    return VideoWriter(width, height, fps, marked=marked)
