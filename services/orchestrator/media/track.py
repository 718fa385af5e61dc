"""What is inside a video file, read from its packets, not from what it says of itself. Runs in the child only."""

import importlib
import io
import pkgutil
from collections.abc import Callable
from fractions import Fraction
from typing import BinaryIO, cast

import av
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from services.orchestrator.media.header import Refused
from services.orchestrator.media.span import Span

MAX_SIDE = 8192


def measure(source: BinaryIO, target: BinaryIO) -> Callable[[], dict[str, object]]:
    """Walks all packets of the first video track and decodes one frame.

    Raises:
        Refused: not H.264 in MP4, or nothing to see in it; also whatever PyAV raises on broken data.
    """
    return _measure(source, demanded="h264")


def measure_any(source: BinaryIO, target: BinaryIO) -> Callable[[], dict[str, object]]:
    """The same, for a video that was paid for: coded in whatever this PyAV can decode."""
    return _measure(source, demanded="")


def _measure(source: BinaryIO, demanded: str) -> Callable[[], dict[str, object]]:
    # A file object: whatever the file names as its parts elsewhere, there is no way to open it.
    with av.open(source, "r", format="mp4") as container:
        if demanded and container.metadata.get("major_brand", "").startswith("qt"):
            raise Refused("VIDEO_FORMAT", "is a QuickTime file; only MP4 is kept")
        if not container.streams.video:
            raise Refused("VIDEO_UNREADABLE", "has no video track; send a sound as audio/*")
        stream = container.streams.video[0]
        codec = stream.codec_context
        if demanded and codec.name != demanded:
            raise Refused("VIDEO_FORMAT", f"is coded as {codec.name}; only H.264 is kept")
        if not (0 < codec.width <= MAX_SIDE and 0 < codec.height <= MAX_SIDE):
            size = f"is {codec.width} x {codec.height} pixels"
            raise Refused("VIDEO_TOO_LARGE", f"{size}; the limit is {MAX_SIDE} pixels a side")
        codec.thread_count = 1
        figures = _walk(container, stream, codec)
    return lambda: figures


def _walk(container: InputContainer, stream: VideoStream, codec: VideoCodecContext) -> dict[str, object]:
    sound = container.streams.audio[0] if container.streams.audio else None
    frames, seen = 0, False
    seen_span, heard_span = Span(), Span()
    for packet in container.demux(*([stream] if sound is None else [stream, sound])):
        if packet.stream is not stream:
            heard_span.take(packet, sound.codec_context.sample_rate if sound is not None else 0)
            continue
        if packet.pts is not None and packet.size:
            frames += 1
            seen_span.take(packet)
        if not seen:
            decoded = codec.decode(cast("av.Packet[VideoStream]", packet))
            seen = any((frame.width, frame.height) == (codec.width, codec.height) for frame in decoded)
    duration = seen_span.length(stream.time_base)
    if not frames or not seen or duration <= 0:
        raise Refused("VIDEO_UNREADABLE", "has no frame that can be decoded")
    heard = heard_span.heard(sound.time_base, sound.codec_context.name) if sound is not None else Fraction(0)
    return {
        "width": codec.width,
        "height": codec.height,
        "frames": frames,
        "fps": float(frames / duration),
        "duration_s": float(duration),
        "audio_s": float(heard) if heard > 0 else None,
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
