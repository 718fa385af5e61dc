"""Measures a video file from its packets, not from its header. Runs in the child only."""

import importlib
import io
import pkgutil
from collections.abc import Callable
from fractions import Fraction
from typing import BinaryIO, cast

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from services.orchestrator.media.mp4_boxes import demand_whole
from services.orchestrator.media.picture_header import Refused
from services.orchestrator.media.track_duration import TrackDuration
from services.reasons import AssetReason

MAX_SIDE = 8192
EBML = b"\x1a\x45\xdf\xa3"
"""How WebM and Matroska begin."""
WEBM = {"vp8", "vp9", "av1", "opus", "vorbis"}
"""The codecs that WebM supports; Matroska supports all."""


def measure(source: BinaryIO, target: BinaryIO) -> Callable[[], dict[str, object]]:
    """Walks all packets of the first video track and decodes one frame.

    Raises:
        Refused: not H.264 in MP4, or nothing to see in it; also any error of PyAV on broken data.
    """
    demand_whole(source, AssetReason.VIDEO_UNREADABLE)
    return _measure(source, demanded="h264")


def measure_any(source: BinaryIO, target: BinaryIO) -> Callable[[], dict[str, object]]:
    """The same for a paid video: MP4, QuickTime, WebM or Matroska, with a codec that this PyAV decodes."""
    return _measure(source, demanded="", form=form_of(source))


def form_of(source: BinaryIO) -> str:
    """Returns the demuxer for a file, `mp4` or `matroska`, by its first bytes: no other is tried."""
    begins = source.read(len(EBML))
    source.seek(0)
    return "matroska" if begins == EBML else "mp4"


def coding(stream: Stream) -> str:
    """Returns the name of a track's codec; empty if it cannot be decoded here."""
    return "" if stream.codec_context is None else str(stream.codec_context.codec.canonical_name)


def _measure(source: BinaryIO, demanded: str, form: str = "mp4") -> Callable[[], dict[str, object]]:
    # A file object: references to other files cannot be opened through it.
    with av.open(source, "r", format=form) as container:
        if demanded and container.metadata.get("major_brand", "").startswith("qt"):
            raise Refused(AssetReason.VIDEO_FORMAT, "is a QuickTime file; only MP4 is kept")
        if not container.streams.video:
            raise Refused(AssetReason.VIDEO_UNREADABLE, "has no video track; send a sound as audio/*")
        stream = container.streams.video[0]
        codec = stream.codec_context
        if codec is None:
            raise Refused(AssetReason.VIDEO_UNREADABLE, "is in a coding that cannot be decoded here")
        if demanded and codec.name != demanded:
            raise Refused(AssetReason.VIDEO_FORMAT, f"is coded as {codec.name}; only H.264 is kept")
        if not (0 < codec.width <= MAX_SIDE and 0 < codec.height <= MAX_SIDE):
            size = f"is {codec.width} x {codec.height} pixels"
            raise Refused(AssetReason.VIDEO_TOO_LARGE, f"{size}; the limit is {MAX_SIDE} pixels a side")
        codec.thread_count = 1
        figures = _walk(container, stream, codec)
        if form == "mp4":
            quicktime = container.metadata.get("major_brand", "").startswith("qt")
            figures["media_type"] = "video/quicktime" if quicktime else "video/mp4"
        else:
            webm = {coding(track) for track in (stream, *container.streams.audio)} <= WEBM
            figures["media_type"] = "video/webm" if webm else "video/matroska"
    return lambda: figures


def _walk(container: InputContainer, stream: VideoStream, codec: VideoCodecContext) -> dict[str, object]:
    sound = container.streams.audio[0] if container.streams.audio else None
    frames, seen, open_ended = 0, False, False
    seen_span, heard_span = TrackDuration(), TrackDuration()
    for packet in container.demux(*([stream] if sound is None else [stream, sound])):
        if packet.stream is not stream:
            heard_span.take(packet, sound.codec_context.sample_rate if sound is not None else 0)
            continue
        if packet.pts is not None and packet.size:
            frames += 1
            seen_span.take(packet)
            open_ended = not packet.duration
        if not seen:
            decoded = codec.decode(cast("av.Packet[VideoStream]", packet))
            seen = any((frame.width, frame.height) == (codec.width, codec.height) for frame in decoded)
    duration = seen_span.length(stream.time_base)
    if open_ended and frames > 1:  # Matroska has only the start of each frame; the last frame gets the average length
        duration *= Fraction(frames, frames - 1)
    if not frames or not seen or duration <= 0:
        raise Refused(AssetReason.VIDEO_UNREADABLE, "has no frame that can be decoded")
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
