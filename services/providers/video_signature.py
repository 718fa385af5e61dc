"""Recognises videos that the orchestrator can probe, and names other files, by their first bytes. Data."""

import re

HEAD_BYTES = 12
"""Bytes that suffice to recognise a format."""

VIDEOS = (
    # The boxes that a file of the family of MP4 and QuickTime may begin with.
    re.compile(rb".{4}(ftyp|styp|moov|moof|mdat|free|skip|wide)", re.DOTALL),
    re.compile(rb"\x1a\x45\xdf\xa3"),  # WebM, Matroska
)
OTHERS = (
    ("a GIF", re.compile(rb"GIF8")),
    ("a PNG picture", re.compile(rb"\x89PNG")),
    ("a JPEG picture", re.compile(rb"\xff\xd8\xff")),
    ("a WebP picture", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("a WAV sound", re.compile(rb"RIFF.{4}WAVE", re.DOTALL)),
    ("an AVI video", re.compile(rb"RIFF.{4}AVI ", re.DOTALL)),
    ("an FLV video", re.compile(rb"FLV\x01")),
    ("a WMV video", re.compile(rb"\x30\x26\xb2\x75")),
    ("an MPEG video", re.compile(rb"\x00\x00\x01[\xba\xb3]|\x47[\x40\x41\x5f\x1f]", re.DOTALL)),
    ("an Ogg file", re.compile(rb"OggS")),
    ("a playlist", re.compile(rb"#EXTM3U")),
)
"""Formats that cannot be delivered as a video. Anything else, such as a page, may come from a host that is down."""


def is_video(head: bytes) -> bool:
    """Whether bytes begin as MP4, QuickTime, WebM or Matroska do."""
    return any(begins.match(head) for begins in VIDEOS)


def other(head: bytes) -> str:
    """Returns the name of another format, with its article; empty if it is unknown."""
    return next((name for name, begins in OTHERS if begins.match(head)), "")
