"""A real video of a picture: a slow zoom of the requested length, with sound if there is one."""

import io
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import av
import numpy as np
from PIL import Image

ZOOM = 0.12
RATE = 44_100


def sound_s(sound: bytes) -> float:
    """Returns how many seconds of sound there are."""
    with av.open(io.BytesIO(sound), "r") as container:
        samples = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    return float(samples)


def size_of(picture: bytes, short_side: int) -> tuple[int, int]:
    """Returns width and height of a video of a picture, both even, the shorter as the resolution requires."""
    with Image.open(io.BytesIO(picture)) as image:
        width, height = image.size
    scale = short_side / min(width, height)
    return round(width * scale / 2) * 2, round(height * scale / 2) * 2


@lru_cache(maxsize=32)
def make_video(picture: bytes, short_side: int, seconds: float, fps: int = 24, sound: bytes | None = None) -> bytes:
    """Returns an MP4. With `sound`, its track is as long as the video: cut, or silent in the end."""
    width, height = size_of(picture, short_side)
    made = io.BytesIO()
    with av.open(made, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "30"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        voice = container.add_stream("aac", rate=RATE, layout="mono") if sound is not None else None
        for frame in _zoomed(picture, width, height, round(seconds * fps)):
            picture_of: Any = av.VideoFrame.from_image  # untyped in the library's stubs
            container.mux(video.encode(picture_of(frame)))
        container.mux(video.encode(None))
        if voice is not None and sound is not None:
            for samples in _samples(sound, round(seconds * RATE)):
                container.mux(voice.encode(samples))
            container.mux(voice.encode(None))
    return made.getvalue()


def _zoomed(picture: bytes, width: int, height: int, frames: int) -> Iterator[Image.Image]:
    with Image.open(io.BytesIO(picture)) as opened:
        image = opened.convert("RGB").resize((width, height))
    for number in range(frames):
        cut = ZOOM * number / max(1, frames - 1) / 2
        box = (width * cut, height * cut, width * (1 - cut), height * (1 - cut))
        yield image.resize((width, height), Image.Resampling.BILINEAR, box=box)


def _samples(sound: bytes, wanted: int) -> Iterator[av.AudioFrame]:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    with av.open(io.BytesIO(sound), "r") as container:
        parts = [each.to_ndarray()[0] for frame in container.decode(audio=0) for each in resampler.resample(frame)]
        parts += [each.to_ndarray()[0] for each in resampler.resample(None)]
    given = np.concatenate(parts)[:wanted] if parts else np.zeros(0, np.float32)
    whole = np.zeros(wanted, np.float32)
    whole[: len(given)] = given
    for first in range(0, wanted, 1024):
        frame = av.AudioFrame.from_ndarray(whole[None, first : first + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE, first
        yield frame
