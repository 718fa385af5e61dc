"""The header of a picture file, and the limits that it must keep before anything is decoded.

The parsers (png.py, jpeg.py, webp.py) follow a file's own structure and keep only the parts that draw the picture.
Other parts (a second file behind it, a compressed text that unpacks to gigabytes) never reach a decoder. Walkers are
pure and linear in the size of the file. They check every offset, because the bytes may be hostile.
"""

from dataclasses import dataclass
from typing import Literal

from services.reasons import AssetReason, Reason

MAX_FILE_BYTES = 10_000_000
MAX_PIXELS = 50_000_000
MAX_SIDE = 8192
MIN_SIDE = 32
MAX_ASPECT_RATIO = 4

#: A colour profile of more is left out, as is one that unpacks to more.
MAX_PROFILE_BYTES = 1 << 20

TAKEN = "PNG, JPEG, WebP, HEIC or AVIF"

Format = Literal["PNG", "JPEG", "WEBP", "HEIF", "AVIF"]


class Refused(Exception):
    """The file is not an acceptable picture or video; `reason` is for programs, `description` for a person."""

    def __init__(self, reason: Reason, description: str) -> None:
        self.reason = reason
        self.description = description
        super().__init__(f"{reason}: {description}")


@dataclass(frozen=True, slots=True)
class Header:
    """A picture that keeps the limits, as far as its header shows."""

    format: Format
    width: int
    """As stored, before any orientation."""
    height: int
    data: bytes
    """What is needed to draw the picture and to turn it the right way up; everything else is left out."""
    lossy: bool
    """Whether its pixels were changed to make it smaller."""
    bits: int = 8
    """Of a sample of a PNG."""


def check_size(width: int, height: int) -> None:
    """Raises Refused when a picture of this size is beyond a limit."""
    size = f"is {width} x {height} pixels"
    if max(width, height) > MAX_SIDE:
        raise Refused(
            AssetReason.PICTURE_TOO_LARGE, f"{size}; the limit is {MAX_SIDE} pixels a side; send a smaller picture"
        )
    if width * height > MAX_PIXELS:
        pixels = f"{width * height / 1e6:.1f} megapixels"
        limit = f"the limit is {MAX_PIXELS // 1_000_000} megapixels"
        raise Refused(AssetReason.PICTURE_TOO_LARGE, f"{size}, {pixels}; {limit}; send a smaller picture")
    if min(width, height) < MIN_SIDE:
        raise Refused(
            AssetReason.PICTURE_TOO_SMALL, f"{size}; the least is {MIN_SIDE} pixels a side; send a larger picture"
        )
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        ratio = f"{max(width, height) / min(width, height):.2f}:1"
        limit = f"the limit is {MAX_ASPECT_RATIO}:1 either way"
        raise Refused(AssetReason.PICTURE_ASPECT_RATIO, f"{size}, a ratio of {ratio}; {limit}; crop it")


def truncated() -> Refused:
    """Returns the refusal of an incomplete picture."""
    return Refused(
        AssetReason.PICTURE_TRUNCATED,
        "ends before the picture does: the file or its upload was cut short; send all of it",
    )


def malformed(what: str) -> Refused:
    """Returns the refusal of a picture that is broken."""
    return Refused(AssetReason.PICTURE_MALFORMED, f"is broken: {what}; save the picture again as PNG or JPEG")


def animated() -> Refused:
    """Returns the refusal of an animated picture."""
    return Refused(AssetReason.PICTURE_ANIMATED, "is animated; the limit is one frame; send a still picture")
