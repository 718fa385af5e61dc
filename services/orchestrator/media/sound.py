"""What is inside a sound file, read from its packets, not from what it says of itself. Runs in the child only."""

import io
from collections.abc import Callable
from fractions import Fraction
from typing import Any, BinaryIO

import av

from services.orchestrator.media import track
from services.orchestrator.media.header import Refused
from services.orchestrator.media.track import Span

LONGEST_S = 3600
STILLS = ("mjpeg", "png", "bmp", "gif", "webp")
"""A picture of the cover is no video."""
TINY = 160
"""Samples of the sound that is opened to load all that opening one needs."""


def measure(source: BinaryIO, _target: BinaryIO) -> Callable[[], dict[str, object]]:
    """Walks all packets of the one sound track and decodes until it has heard something.

    Raises:
        Refused: not a sound of a known kind, or of no length or too long; also whatever PyAV raises on broken data.
    """
    media_type, demuxer = _kind(source.read(16))
    source.seek(0)
    # The demuxer is named: a file must not choose one of the hundreds that there are. A file object has no neighbours.
    with av.open(source, "r", format=demuxer) as container:
        if any(stream.codec_context.name not in STILLS for stream in container.streams.video):
            raise Refused("AUDIO_FORMAT", "is a video; send the sound alone")
        if len(container.streams.audio) != 1:
            raise Refused("AUDIO_UNREADABLE", f"has {len(container.streams.audio)} sound tracks, not one")
        stream = container.streams.audio[0]
        codec, span, heard = stream.codec_context, Span(), False
        for packet in container.demux(stream):
            span.take(packet)
            if not heard:
                decoded: list[Any] = codec.decode(packet)
                heard = any(frame.samples for frame in decoded)
        length = span.length(stream.time_base)
        if not heard or length <= 0 or not codec.sample_rate:
            raise Refused("AUDIO_UNREADABLE", "has nothing to hear")
        if length > LONGEST_S:
            raise Refused("AUDIO_TOO_LONG", f"plays {float(length):.0f} s; at most {LONGEST_S} s are kept")
        figures: dict[str, object] = {
            "media_type": media_type,
            "duration_s": float(length),
            "sample_rate": codec.sample_rate,
            "channels": codec.channels,
        }
    return lambda: figures


def _kind(start: bytes) -> tuple[str, str]:
    """Returns media type and demuxer by the first bytes."""
    if start[:4] == b"RIFF" and start[8:12] == b"WAVE":
        return "audio/wav", "wav"
    if start[:4] == b"OggS":
        return "audio/ogg", "ogg"
    if start[:4] == b"fLaC":
        return "audio/flac", "flac"
    if start[4:8] == b"ftyp":
        return "audio/mp4", "mp4"
    if start[:3] == b"ID3":
        return "audio/mpeg", "mp3"
    if len(start) > 1 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0:
        return "audio/aac", "aac"
    if len(start) > 1 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0:
        return "audio/mpeg", "mp3"
    raise Refused("AUDIO_FORMAT", "is no MP3, WAV, Ogg, FLAC, M4A or AAC")


def warm() -> None:
    """Loads all that opening a file will need; see track.warm."""
    track.warm()
    tiny = io.BytesIO()
    with av.open(tiny, "w", format="wav") as container:
        stream: Any = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=TINY)
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    tiny.seek(0)
    measure(tiny, io.BytesIO())
