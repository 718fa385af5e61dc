"""What is known of a picture or a video once somebody has looked inside it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """A decoded picture."""

    media_type: str
    """`image/png` or `image/jpeg`: the two forms that pictures are kept in."""
    width: int
    """Pixels, after the EXIF orientation was applied."""
    height: int


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """A probed video: every figure is read from the file, none is taken from who wrote it."""

    media_type: str
    width: int
    height: int
    frames: int
    fps: float
    duration_s: float
