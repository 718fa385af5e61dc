"""Looks for the pixel mark in a video of unknown origin. Runs in the child only."""

import io
from collections.abc import Callable
from itertools import islice
from typing import BinaryIO

import av
import numpy as np

from services.orchestrator.media import video_measure
from services.orchestrator.media.picture_header import Refused
from services.orchestrator.media.pixel_mark_detector import detect_in, luma_planes
from services.reasons import AssetReason

PIXELS = 100_000_000
"""Pixels that are looked at: 240 frames of 480p, 48 of 1080p. Each million takes about 0.15 s of processor time."""
FEWEST_FRAMES = 8


def search(source: BinaryIO, _target: BinaryIO) -> Callable[[], dict[str, object]]:
    """Decodes the first frames and looks for the mark in them.

    Raises:
        Refused: no video, or too large; also any error of PyAV on broken data.
    """
    # The demuxer is named, and reads a file object: references to other files cannot be opened through it.
    with av.open(source, "r", format=video_measure.form_of(source)) as container:
        codec = container.streams.video[0].codec_context if container.streams.video else None
        if codec is None or not (
            0 < codec.width <= video_measure.MAX_SIDE and 0 < codec.height <= video_measure.MAX_SIDE
        ):
            raise Refused(AssetReason.VIDEO_UNREADABLE, "has no video that can be decoded here")
        codec.thread_count = 1
        frames = max(FEWEST_FRAMES, PIXELS // (codec.width * codec.height))
        found = detect_in(islice(luma_planes(container), frames))
    return lambda: {"present": found.present}


def warm() -> None:
    """Loads all that the search will need; see video_measure.warm."""
    video_measure.warm()
    tiny = io.BytesIO()
    with av.open(tiny, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=16, width=32, height=32, pix_fmt="yuv420p")
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    tiny.seek(0)
    search(tiny, io.BytesIO())
