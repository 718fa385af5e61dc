"""Sounds made by hand: valid ones of each kind, and some whose headers are false."""

import io
import struct
import wave
from fractions import Fraction
from typing import Any

import av
import numpy as np

FORMATS = {
    "audio/mpeg": ("mp3", "libmp3lame", "s16p"),
    "audio/wav": ("wav", "pcm_s16le", "s16"),
    "audio/ogg": ("ogg", "libopus", "s16"),
    "audio/flac": ("flac", "flac", "s16"),
    "audio/mp4": ("mp4", "aac", "fltp"),
    "audio/aac": ("adts", "aac", "fltp"),
}
RATE = 48_000


def a_sound(media_type: str = "audio/wav", seconds: float = 1.0) -> bytes:
    """A tone of this kind."""
    container_format, codec, sample_format = FORMATS[media_type]
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as container:
        stream: Any = container.add_stream(codec, rate=RATE, layout="mono")
        stream.codec_context.format = sample_format
        resampler = av.AudioResampler(format=sample_format, layout="mono", rate=RATE)
        for first in range(0, round(RATE * seconds), RATE):
            count = min(RATE, round(RATE * seconds) - first)
            tone = np.sin((first + np.arange(count)) / 20) * 9000
            frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return file.getvalue()


def a_slow_wav(seconds: int, rate: int = 100) -> bytes:
    """Silence of any length in a few bytes a second."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 1, rate, 0, "NONE", ""))
        writer.writeframes(b"\x80" * (seconds * rate))
    return file.getvalue()


def a_wav_with_a_header_of(seconds: int) -> bytes:
    """A WAV whose header claims far more than there is."""
    data = bytearray(a_slow_wav(1, 8000))
    data[40:44] = struct.pack("<I", 8000 * seconds)
    return bytes(data)


def a_film() -> bytes:
    """An MP4 with moving pictures and a sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        video: Any = container.add_stream("libx264", rate=8, width=64, height=32, pix_fmt="yuv420p")
        sound: Any = container.add_stream("aac", rate=RATE, layout="mono")
        for number in range(16):
            picture = av.VideoFrame.from_ndarray(np.full((32, 64, 3), number * 9, np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.float32), format="fltp", layout="mono")
        silence.sample_rate, silence.pts, silence.time_base = RATE, 0, Fraction(1, RATE)
        fifo = av.AudioFifo()
        fifo.write(silence)
        while (frame := fifo.read(1024)) is not None:
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return file.getvalue()


def encoded(
    seconds: float,
    container_format: str,
    codec: str,
    *,
    rate: int = RATE,
    options: dict[str, str] | None = None,
    bit_rate: int | None = None,
) -> bytes:
    """A tone of any length, container, codec and sampling rate."""
    file = io.BytesIO()
    with av.open(file, "w", format=container_format, container_options=options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, layout="mono")
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        wanted = stream.codec_context.codec.audio_formats[0].name
        resampler = av.AudioResampler(
            format=wanted, layout="mono", rate=rate, frame_size=stream.codec_context.frame_size
        )
        tone = (np.sin(np.arange(round(rate * seconds)) / 20) * 9000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return file.getvalue()


def branded(m4a: bytes, major: bytes, *compatible: bytes) -> bytes:
    """The same MP4 under another brand."""
    length = int.from_bytes(m4a[:4], "big")
    room = (length - 16) // 4
    brands = b"".join((*compatible, major, b"isom", b"mp42")[:room])
    return m4a[:8] + major + m4a[12:16] + brands.ljust(length - 16, b"\0") + m4a[length:]


def an_id3(size: int = 3000) -> bytes:
    """An ID3v2 tag that holds nothing."""
    return b"ID3\4\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + bytes(size)


def a_wav(
    seconds: float, *, rate: int = 16_000, before: bytes = b"", riff: int | None = None, size: int | None = None
) -> bytes:
    """A WAV by hand: chunks before its data, and sizes that may be wrong."""
    data = b"\1\2" * round(seconds * rate)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    body = form + before + struct.pack("<4sI", b"data", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(body) + 4 if riff is None else riff) + b"WAVE" + body
