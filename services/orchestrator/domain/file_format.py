"""The format of a file, from its first bytes. The caller's media type says only what the file is for.

Pure. It only names the format; the decoders check the rest of the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

HEAD_BYTES = 4096
"""Bytes of a file that `of` reads."""


class Role(StrEnum):
    """What a file is for."""

    PICTURE = "picture"
    SOUND = "sound"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format."""

    name: str
    """Its usual name: `JPEG`, `M4A`."""
    role: Role | None = None
    """None: neither a picture, a sound nor a video."""

    def named(self) -> str:
        """Returns it as part of a sentence: `a JPEG picture`, `an MP3 sound`, `a PDF file`."""
        article = "an" if self.name[:2] in ("MP", "AV", "AA", "AI", "AM", "AU", "AC", "M4", "SV", "RF") else "a"
        return f"{article} {self.name} {self.role or 'file'}"


PNG, JPEG, WEBP = (FileFormat(name, Role.PICTURE) for name in ("PNG", "JPEG", "WebP"))
HEIC, AVIF = (FileFormat(name, Role.PICTURE) for name in ("HEIC", "AVIF"))
MP3, WAV, OGG = (FileFormat(name, Role.SOUND) for name in ("MP3", "WAV", "Ogg"))
FLAC, M4A, AAC = (FileFormat(name, Role.SOUND) for name in ("FLAC", "M4A", "AAC"))
MP4, QUICKTIME = FileFormat("MP4", Role.VIDEO), FileFormat("QuickTime", Role.VIDEO)

_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", PNG),
    (0, b"\xff\xd8\xff", JPEG),
    (8, b"WEBP", WEBP),
    (8, b"WAVE", WAV),
    (8, b"AVI ", FileFormat("AVI", Role.VIDEO)),
    (0, b"ID3", MP3),
    (0, b"APETAGEX", MP3),
    (0, b"OggS", OGG),
    (0, b"fLaC", FLAC),
    (0, b"GIF8", FileFormat("GIF", Role.PICTURE)),
    (0, b"BM", FileFormat("BMP", Role.PICTURE)),
    (0, b"II*\0", FileFormat("TIFF", Role.PICTURE)),
    (0, b"MM\0*", FileFormat("TIFF", Role.PICTURE)),
    (0, b"II+\0", FileFormat("TIFF", Role.PICTURE)),
    (0, b"MM\0+", FileFormat("TIFF", Role.PICTURE)),
    (0, b"8BPS", FileFormat("Photoshop", Role.PICTURE)),
    (0, b"FUJIFILMCCD-RAW", FileFormat("camera's raw", Role.PICTURE)),
    (0, b"IIU\0", FileFormat("camera's raw", Role.PICTURE)),
    (0, b"\0\0\1\0", FileFormat("Windows icon", Role.PICTURE)),
    (0, b"\xff\x0a", FileFormat("JPEG XL", Role.PICTURE)),
    (4, b"JXL \r\n\x87\n", FileFormat("JPEG XL", Role.PICTURE)),
    (4, b"jP  \r\n\x87\n", FileFormat("JPEG 2000", Role.PICTURE)),
    (0, b"\xff\x4f\xff\x51", FileFormat("JPEG 2000", Role.PICTURE)),
    (0, b"\x1a\x45\xdf\xa3", FileFormat("WebM or Matroska", Role.VIDEO)),
    (0, b"\0\0\1\xba", FileFormat("MPEG", Role.VIDEO)),
    (0, b"FLV\1", FileFormat("Flash video", Role.VIDEO)),
    (0, b"#!AMR", FileFormat("AMR", Role.SOUND)),
    (0, b"caff", FileFormat("CAF", Role.SOUND)),
    (0, b"MThd", FileFormat("MIDI", Role.SOUND)),
    (0, b".snd", FileFormat("AU", Role.SOUND)),
    (0, b"wvpk", FileFormat("WavPack", Role.SOUND)),
    (0, b"MAC ", FileFormat("Monkey's Audio", Role.SOUND)),
    (0, b"RF64", FileFormat("RF64", Role.SOUND)),
    (0, b"BW64", FileFormat("RF64", Role.SOUND)),
    (0, b"riff\x2e\x91\xcf\x11", FileFormat("Wave64", Role.SOUND)),
    (0, b"\x0b\x77", FileFormat("AC-3", Role.SOUND)),
    (0, bytes.fromhex("3026b2758e66cf11"), FileFormat("Windows Media (WMA or WMV)", Role.SOUND)),
    (8, b"AIFF", FileFormat("AIFF", Role.SOUND)),
    (8, b"AIFC", FileFormat("AIFF", Role.SOUND)),
    (0, b"%PDF", FileFormat("PDF")),
    (0, b"PK\3\4", FileFormat("ZIP")),
)
_NEEDS = {b"WEBP": b"RIFF", b"WAVE": b"RIFF", b"AVI ": b"RIFF", b"AIFF": b"FORM", b"AIFC": b"FORM"}
"""First boxes of files that name their format only later."""

_OF_BRAND = {
    b"avif": AVIF,
    b"avis": AVIF,
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1", b"miaf"), HEIC),
    b"crx ": FileFormat("camera's raw", Role.PICTURE),
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "), M4A),
    b"qt  ": QUICKTIME,
}


def of(head: bytes) -> FileFormat | None:
    """Returns the format of a file by its first HEAD_BYTES; None if it is unknown.

    An MP4 may hold only a sound, which shows only later in the file. An MP4 that may be either counts as a video here.
    """
    for at, magic, kind in _MAGIC:
        if head.startswith(magic, at) and head.startswith(_NEEDS.get(magic, b"")):
            return kind
    if head[4:8] == b"ftyp":
        return _of_brands(list(_brands(head)))
    if head[4:8] in (b"moov", b"mdat", b"wide", b"pnot"):
        return QUICKTIME
    if head[:1] == b"G" and head[188:189] == b"G" and head[376:377] == b"G":
        return FileFormat("MPEG transport stream", Role.VIDEO)
    if head.lstrip()[:5].lower() in (b"<svg ", b"<svg>") or (head.lstrip().startswith(b"<?xml") and b"<svg" in head):
        return FileFormat("SVG", Role.PICTURE)
    return _of_frame(head.lstrip(b"\0"))


def _brands(head: bytes) -> Iterator[bytes]:
    """Yields the major brand, then the compatible ones."""
    yield head[8:12]
    end = min(int.from_bytes(head[:4], "big"), len(head))
    for at in range(16, end - 3, 4):
        yield head[at : at + 4]


def _of_brands(brands: list[bytes]) -> FileFormat:
    major = brands[0]
    if major in (b"mif1", b"mif2", b"msf1", b"miaf") and (b"avif" in brands or b"avis" in brands):
        return AVIF
    return _OF_BRAND.get(major, MP4)


def _of_frame(head: bytes) -> FileFormat | None:
    """MP3 and AAC begin with a frame: eleven or twelve bits that are set, then layer, bit rate and sampling rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return AAC
    known = head[1] & 0x18 != 0x08 and head[1] & 0x06 and head[2] & 0xF0 != 0xF0 and head[2] & 0x0C != 0x0C
    return MP3 if known else None
