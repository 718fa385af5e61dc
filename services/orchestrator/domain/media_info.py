"""What a probe finds out about a picture, a video or a sound."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """A decoded picture."""

    media_type: str
    """`image/png` or `image/jpeg`: the two forms that pictures are kept in."""
    width: int
    """Pixels, after the EXIF orientation was applied."""
    height: int
    phash: int | None = field(default=None, compare=False)
    """Perceptual hash, 64 bits; known only while the picture is uploaded."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """A probed video: every figure is measured, not taken from the file's metadata."""

    media_type: str
    width: int
    height: int
    frames: int
    fps: float
    duration_s: float
    audio_s: float | None = None
    """How long its sound plays; None: it has none."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """A probed sound: every figure is read from the file."""

    media_type: str
    """As probed, such as `audio/mpeg`."""
    duration_s: float
    sample_rate: int
    """Samples a second."""
    channels: int
