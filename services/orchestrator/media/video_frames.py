"""Single frames of a stored video, as pictures. Runs in the child only."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from services.orchestrator.media.picture_header import Refused
from services.orchestrator.media.video_measure import MAX_SIDE, form_of
from services.reasons import AssetReason

MOST_PIXELS = 400_000_000
"""Pixels of all frames up to which every frame is decoded. Of a longer video only key frames are."""


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A frame, and when it is shown."""

    image: Image.Image
    time_s: float


def first(source: BinaryIO) -> Image.Image:
    """Returns the first frame that can be decoded. Raises Refused if there is none."""
    with av.open(source, "r", format=form_of(source)) as container:
        stream = _stream(container)
        for frame in _frames(container, stream):
            return _upright(frame)
    raise _nothing()


def spread(source: BinaryIO, count: int, frames: int, duration_s: float, side: int) -> list[TimedFrame]:
    """Returns at most `count` frames at equal distances, the first included, none larger than `side` on any side.

    `frames` and `duration_s` are what was measured of the video. Raises Refused if no frame can be decoded.
    """
    wanted = [duration_s * place / count for place in range(count)]
    with av.open(source, "r", format=form_of(source)) as container:
        stream = _stream(container)
        codec = stream.codec_context
        if frames * codec.width * codec.height <= MOST_PIXELS:
            found = list(_exact(container, stream, wanted, side))
        else:
            found = list(_nearest_key_frames(container, stream, wanted, side))
    if not found:
        raise _nothing()
    return found


def within(image: Image.Image, side: int) -> Image.Image:
    """Returns the picture scaled down so that no side is longer than `side`; a smaller one as it is."""
    longest = max(image.size)
    if longest <= side:
        return image
    size = (max(1, round(image.width * side / longest)), max(1, round(image.height * side / longest)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _exact(container: InputContainer, stream: VideoStream, wanted: list[float], side: int) -> Iterator[TimedFrame]:
    """Yields for each wanted time the first frame from then on."""
    start, place = None, 0
    for frame in _frames(container, stream):
        time = frame.time or 0.0
        start = time if start is None else start
        if place < len(wanted) and time - start >= wanted[place] - 1e-6:
            yield TimedFrame(within(_upright(frame), side), time - start)
            while place < len(wanted) and wanted[place] <= time - start + 1e-6:
                place += 1


def _nearest_key_frames(
    container: InputContainer, stream: VideoStream, wanted: list[float], side: int
) -> Iterator[TimedFrame]:
    """Yields for each wanted time the key frame before it, each once."""
    start_s, last = float((stream.start_time or 0) * (stream.time_base or 0)), -1.0
    for time_s in wanted:
        container.seek(int((start_s + time_s) * av.time_base), backward=True)
        frame = next(_frames(container, stream), None)
        if frame is not None and (frame.time or 0.0) - start_s > last:
            last = (frame.time or 0.0) - start_s
            yield TimedFrame(within(_upright(frame), side), last)


def _stream(container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise _nothing()
    stream = container.streams.video[0]
    codec = stream.codec_context
    if codec is None or not (0 < codec.width <= MAX_SIDE and 0 < codec.height <= MAX_SIDE):
        raise _nothing()
    codec.thread_count = 1
    return stream


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yields what can be decoded. A damaged packet costs its own frames, not the others."""
    for packet in container.demux(stream):
        with suppress(av.error.InvalidDataError):
            for frame in packet.decode():
                if isinstance(frame, VideoFrame):
                    yield frame


def _upright(frame: VideoFrame) -> Image.Image:
    """Returns a frame as people see it: phones store frames sideways, with the rotation as metadata."""
    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image


def _nothing() -> Refused:
    return Refused(AssetReason.VIDEO_UNREADABLE, "has no frame that can be decoded")
