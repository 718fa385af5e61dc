"""Measures a sound file from its packets, not from its header. Runs in the child only."""

import io
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, BinaryIO

import av

from services.orchestrator.domain import file_format
from services.orchestrator.domain.file_format import FileFormat
from services.orchestrator.media import video_measure
from services.orchestrator.media.mp4_boxes import CUT_SHORT, demand_whole
from services.orchestrator.media.picture_header import Refused
from services.orchestrator.media.track_duration import TrackDuration
from services.reasons import AssetReason

LONGEST_S = 3600
STILLS = ("mjpeg", "png", "bmp", "gif", "webp")
"""A picture of the cover is no video."""
TINY = 160
"""Samples of the sound that is opened to load all that opening one needs."""
TAKEN = "MP3, WAV, Ogg, FLAC, M4A or AAC"
DEMUXERS = {
    file_format.WAV: ("audio/wav", "wav"),
    file_format.OGG: ("audio/ogg", "ogg"),
    file_format.FLAC: ("audio/flac", "flac"),
    file_format.MP3: ("audio/mpeg", "mp3"),
    file_format.AAC: ("audio/aac", "aac"),
    # Recorders write sounds under the MP4 brands of videos; the tracks show which it is.
    file_format.M4A: ("audio/mp4", "mp4"),
    file_format.MP4: ("audio/mp4", "mp4"),
    file_format.QUICKTIME: ("audio/mp4", "mp4"),
}
"""Media type and FFmpeg's demuxer, by kind."""


def measure(source: BinaryIO, _target: BinaryIO) -> Callable[[], dict[str, object]]:
    """Walks all packets of the one sound track and decodes until there is a sample.

    Raises:
        Refused: not a sound of a known kind, or of no length or too long; also any error of PyAV on broken data.
    """
    media_type, demuxer = _kind(source)
    if demuxer == "mp4":
        demand_whole(source, AssetReason.AUDIO_UNREADABLE)
    # The demuxer is named: a file must not choose one of the hundreds that there are. With a file object, a
    # demuxer cannot open other files.
    with av.open(source, "r", format=demuxer) as container:
        if any(stream.codec_context.name not in STILLS for stream in container.streams.video):
            raise Refused(AssetReason.AUDIO_FORMAT, "is a video; send the sound alone")
        if len(container.streams.audio) != 1:
            raise Refused(AssetReason.AUDIO_UNREADABLE, f"has {len(container.streams.audio)} sound tracks, not one")
        stream = container.streams.audio[0]
        codec, span, heard = stream.codec_context, TrackDuration(), False
        rate = codec.sample_rate
        for packet in container.demux(stream):
            span.take(packet, rate)
            if not heard:
                decoded: list[Any] = codec.decode(packet)
                heard = any(frame.samples for frame in decoded)
        length = span.heard(stream.time_base, codec.name)
        if not heard or length <= 0 or not codec.sample_rate:
            raise Refused(AssetReason.AUDIO_UNREADABLE, "has nothing to hear")
        declared_s = (stream.duration or 0) * (stream.time_base or 0)
        if demuxer == "flac" and span.length(stream.time_base) < declared_s:
            raise Refused(AssetReason.AUDIO_UNREADABLE, CUT_SHORT)  # its header says how long it is
        if length > LONGEST_S:
            raise Refused(AssetReason.AUDIO_TOO_LONG, f"plays {float(length):.0f} s; at most {LONGEST_S} s are kept")
        figures: dict[str, object] = {
            "media_type": media_type,
            "duration_s": float(length),
            "sample_rate": codec.sample_rate,
            "channels": codec.channels,
        }
    return lambda: figures


def demuxer_of(source: BinaryIO) -> str:
    """Returns the demuxer for a sound, by its first bytes: no other is tried. Raises Refused."""
    return _kind(source)[1]


def _kind(source: BinaryIO) -> tuple[str, str]:
    """Returns media type and demuxer by the first bytes, and rewinds the file."""
    head = source.read(file_format.HEAD_BYTES)
    found = file_format.of(head) or _joined_late(head)
    while head[:3] == b"ID3":  # a tag may precede other formats than MP3, and another tag
        length = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
        source.seek(10 + length - len(head), io.SEEK_CUR)
        head = source.read(file_format.HEAD_BYTES)
        found = file_format.of(head) or _joined_late(head) or file_format.MP3
    source.seek(0)
    if found not in DEMUXERS:
        what = "is empty" if not head else f"is {found.named()}" if found else "is of no known sound format"
        raise Refused(AssetReason.AUDIO_FORMAT, f"{what}; send {TAKEN}")
    return DEMUXERS[found]


def _joined_late(head: bytes) -> FileFormat | None:
    """Returns the format that begins somewhere in the first bytes: a recorded stream starts within a frame."""
    for start in re.finditer(rb"\xff[\xe2-\xff]", head):
        if (found := file_format.of(head[start.start() :])) in (file_format.MP3, file_format.AAC):
            return found
    return None


def warm() -> None:
    """Loads all that opening a file will need; see video_measure.warm."""
    video_measure.warm()
    measure(silence(), io.BytesIO())


def silence() -> io.BytesIO:
    """Returns a tiny sound file, for warming up."""
    tiny = io.BytesIO()
    with av.open(tiny, "w", format="wav") as container:
        stream: Any = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=TINY)
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    tiny.seek(0)
    return tiny
