"""What is inside a video file, read from its packets, not from what it says of itself. Runs in the child only."""

import importlib
import io
import pkgutil
from collections.abc import Callable, Iterator
from typing import BinaryIO

import av
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from services.orchestrator.media.header import Refused

MAX_SIDE = 8192


def measure(source: BinaryIO, _target: BinaryIO) -> Callable[[], dict[str, object]]:
    """Walks all packets of the first video track and decodes one frame.

    Raises:
        Refused: not H.264 in MP4, or nothing to see in it; also whatever PyAV raises on broken data.
    """
    # A file object: whatever the file names as its parts elsewhere, there is no way to open it.
    with av.open(source, "r", format="mp4") as container:
        if container.metadata.get("major_brand", "").startswith("qt"):
            raise Refused("VIDEO_FORMAT", "is a QuickTime file; only MP4 is kept")
        if not container.streams.video:
            raise Refused("VIDEO_UNREADABLE", "has no video track")
        stream = container.streams.video[0]
        codec = stream.codec_context
        if codec.name != "h264":
            raise Refused("VIDEO_FORMAT", f"is coded as {codec.name}; only H.264 is kept")
        if not (0 < codec.width <= MAX_SIDE and 0 < codec.height <= MAX_SIDE):
            size = f"is {codec.width} x {codec.height} pixels"
            raise Refused("VIDEO_TOO_LARGE", f"{size}; the limit is {MAX_SIDE} pixels a side")
        codec.thread_count = 1
        figures = _walk(container.demux(stream), stream, codec)
    return lambda: figures


def _walk(
    packets: "Iterator[av.Packet[VideoStream]]", stream: VideoStream, codec: VideoCodecContext
) -> dict[str, object]:
    frames = 0
    first = last = None
    seen = False
    for packet in packets:
        if packet.pts is not None and packet.size:
            frames += 1
            first = packet.pts if first is None else min(first, packet.pts)
            last = max(last or 0, packet.pts + (packet.duration or 0))
        if not seen:
            seen = any((frame.width, frame.height) == (codec.width, codec.height) for frame in codec.decode(packet))
    if not frames or not seen or first is None or last is None or last <= first or stream.time_base is None:
        raise Refused("VIDEO_UNREADABLE", "has no frame that can be decoded")
    duration = (last - first) * stream.time_base
    return {
        "width": codec.width,
        "height": codec.height,
        "frames": frames,
        "fps": float(frames / duration),
        "duration_s": float(duration),
    }


def warm() -> None:
    """Loads all that opening a file will need: afterwards no file can be opened. PyAV loads most on first use."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    tiny = io.BytesIO()
    with av.open(tiny, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=16, width=32, height=32, pix_fmt="yuv420p")
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    tiny.seek(0)
    measure(tiny, io.BytesIO())
