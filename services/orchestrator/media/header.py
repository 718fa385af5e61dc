"""What a picture file says of itself, and the limits it must keep, before anything is decoded.

The parser walks the file's own structure from the first byte to the last, so that what is not part of the picture
(a second file behind it, a compressed text that unpacks to gigabytes) never reaches a decoder. Pure and linear in
the size of the file; every offset is checked, for the bytes are hostile.
"""

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Literal

MAX_FILE_BYTES = 10_000_000
MAX_PIXELS = 50_000_000
MAX_SIDE = 8192
MIN_SIDE = 32
MAX_ASPECT_RATIO = 4

#: A progressive JPEG may ask for a pass over all its pixels with each scan of a few bytes; real ones have about ten.
MAX_JPEG_SCANS = 64

#: A colour profile of more is left out, as is one that unpacks to more.
MAX_PROFILE_BYTES = 1 << 20

Format = Literal["PNG", "JPEG", "WEBP"]

_KNOWN_OTHERS = (
    (b"GIF8", 0, "GIF"),
    (b"BM", 0, "BMP"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"ftypheic", 4, "HEIC"),
    (b"ftypmif1", 4, "HEIF"),
    (b"ftypavif", 4, "AVIF"),
    (b"%PDF", 0, "PDF"),
    (b"PK\3\4", 0, "ZIP"),
)


class Refused(Exception):
    """The file is not an acceptable picture or video; `reason` is for programs, `description` for a person."""

    def __init__(self, reason: str, description: str) -> None:
        self.reason = reason
        self.description = description
        super().__init__(f"{reason}: {description}")


@dataclass(frozen=True, slots=True)
class Header:
    """A picture that keeps the limits, as far as can be told without decoding it."""

    format: Format
    width: int
    """As stored, before any orientation."""
    height: int
    data: bytes
    """What is needed to draw the picture and to turn it the right way up; everything else is left out."""


def inspect(data: bytes) -> Header:
    """Walks a picture file.

    Raises:
        Refused: it is of no accepted format, is not whole, has something behind it, moves, or is beyond a limit.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        header = _png(data)
    elif data.startswith(b"\xff\xd8\xff"):
        header = _jpeg(data)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        header = _webp(data)
    else:
        found = next((name for magic, at, name in _KNOWN_OTHERS if data.startswith(magic, at)), None)
        kind = "is empty" if not data else f"is a {found} file" if found else "is of no known picture format"
        raise Refused("PICTURE_FORMAT", f"{kind}; send a PNG, JPEG or WebP picture")
    check_size(header.width, header.height)
    return header


def check_size(width: int, height: int) -> None:
    """Raises Refused when a picture of this size is beyond a limit."""
    size = f"is {width} x {height} pixels"
    if max(width, height) > MAX_SIDE:
        raise Refused("PICTURE_TOO_LARGE", f"{size}; the limit is {MAX_SIDE} pixels a side; send a smaller picture")
    if width * height > MAX_PIXELS:
        pixels = f"{width * height / 1e6:.1f} megapixels"
        limit = f"the limit is {MAX_PIXELS // 1_000_000} megapixels"
        raise Refused("PICTURE_TOO_LARGE", f"{size}, {pixels}; {limit}; send a smaller picture")
    if min(width, height) < MIN_SIDE:
        raise Refused("PICTURE_TOO_SMALL", f"{size}; the least is {MIN_SIDE} pixels a side; send a larger picture")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        ratio = f"{max(width, height) / min(width, height):.2f}:1"
        limit = f"the limit is {MAX_ASPECT_RATIO}:1 either way"
        raise Refused("PICTURE_ASPECT_RATIO", f"{size}, a ratio of {ratio}; {limit}; crop it")


def _truncated() -> Refused:
    return Refused("PICTURE_TRUNCATED", "ends before the picture does; the upload was cut short, send all of it again")


def _trailing(count: int) -> Refused:
    behind = f"has {count} bytes behind the end of the picture; none are allowed"
    return Refused("PICTURE_TRAILING_BYTES", f"{behind}; save the picture again as PNG or JPEG")


def _malformed(what: str) -> Refused:
    return Refused("PICTURE_MALFORMED", f"is broken: {what}; save the picture again as PNG or JPEG")


def _animated() -> Refused:
    return Refused("PICTURE_ANIMATED", "is animated; the limit is one frame; send a still picture")


#: What Pillow needs of a PNG: texts, which may be bombs, are not in the list; a profile must prove that it is none.
_PNG_DRAWN = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND")


def _png(data: bytes) -> Header:
    kept = [data[:8]]
    position = 8
    size: tuple[int, int] | None = None
    name = b""
    while name != b"IEND":
        if position + 12 > len(data):
            raise _truncated()
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise _truncated()
        if (name == b"IHDR") != (size is None):
            raise _malformed("a PNG starts with its one IHDR chunk")
        if name == b"IHDR":
            if length != 13:
                raise _malformed("the IHDR chunk has a wrong length")
            size = struct.unpack_from(">II", data, position + 8)
        if name in (b"acTL", b"fcTL", b"fdAT"):
            raise _animated()
        if name in _PNG_DRAWN:
            chunk = data[position:end]
            if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
                raise _malformed(f"the checksum of a {name.decode()} chunk is wrong")
            kept.append(chunk)
        elif name == b"iCCP" and _unpacks_small(data[position + 8 : end - 4]):
            kept.append(data[position:end])
        elif not name[0] & 0x20:
            raise _malformed("it has an unknown critical chunk")
        position = end
    if position != len(data):
        raise _trailing(len(data) - position)
    if size is None:  # not reached: the first chunk is an IHDR, or the loop has raised
        raise _malformed("it has no IHDR chunk")
    return Header("PNG", *size, b"".join(kept))


def _unpacks_small(profile: bytes) -> bool:
    packed = profile.partition(b"\0")[2][1:]
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(packed, MAX_PROFILE_BYTES)
    except zlib.error:
        return False
    return unpacking.eof


#: The next marker within entropy-coded data: not a stuffed zero, not a restart, not fill.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


def _jpeg(data: bytes) -> Header:
    kept = [data[:2]]
    position = 2
    size: tuple[int, int] | None = None
    scans = 0
    more_pictures = False
    while True:
        found = _JPEG_MARKER.search(data, position)
        if found is None:
            raise _truncated()
        position = found.end()
        marker = data[position - 1]
        if marker == 0xD9:
            break
        if marker in (0x01, 0xD8):
            raise _malformed("a JPEG marker is out of place")
        if position + 2 > len(data):
            raise _truncated()
        end = position + int.from_bytes(data[position : position + 2], "big")
        if end > len(data):
            raise _truncated()
        if end < position + 2:
            raise _malformed("a JPEG segment has no length")
        segment = data[position + 2 : end]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if size is not None:
                raise _malformed("it has two JPEG frames")
            size = _jpeg_size(marker, segment)
        if marker == 0xDA:
            scans += 1
            if size is None:
                raise _malformed("its data come before its size")
            if scans > MAX_JPEG_SCANS:
                scans_said = f"is a JPEG of more than {MAX_JPEG_SCANS} scans, which is the limit"
                raise Refused("PICTURE_TOO_COMPLEX", f"{scans_said}; save the picture again as a baseline JPEG")
            after = _JPEG_MARKER.search(data, end)
            if after is None:
                raise _truncated()
            end = after.start()
        more_pictures |= marker == 0xE2 and segment.startswith(b"MPF\0")
        if _jpeg_drawn(marker, segment):
            kept.append(data[position - 2 : end])
        position = end
    if size is None or scans == 0:
        raise _malformed("it has no picture data")
    # Phones put a depth or brightness map behind the picture and announce it: it is dropped, the picture is fine.
    announced = more_pictures and data.startswith(b"\xff\xd8\xff", position)
    if position != len(data) and not announced:
        raise _trailing(len(data) - position)
    return Header("JPEG", *size, b"".join([*kept, b"\xff\xd9"]))


def _jpeg_size(marker: int, frame: bytes) -> tuple[int, int]:
    if marker not in (0xC0, 0xC1, 0xC2) or len(frame) < 6 or frame[0] != 8 or frame[5] not in (1, 3, 4):
        raise _malformed("it is a kind of JPEG that is not supported")
    height, width = struct.unpack_from(">HH", frame, 1)
    return width, height


def _jpeg_drawn(marker: int, segment: bytes) -> bool:
    """Of the application segments only orientation, profile and Adobe's note on inks change how the picture looks."""
    if marker == 0xE1:
        return segment.startswith(b"Exif\0\0")
    if marker == 0xE2:
        return segment.startswith(b"ICC_PROFILE\0")
    if marker == 0xEE:
        return segment.startswith(b"Adobe")
    return marker not in range(0xE0, 0xF0) and marker != 0xFE


def _webp(data: bytes) -> Header:
    end = 8 + int.from_bytes(data[4:8], "little")
    end += end & 1
    if end > len(data):
        raise _truncated()
    if end < len(data):
        raise _trailing(len(data) - end)
    position = 12
    canvas: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    while position < end:
        if position + 8 > end:
            raise _truncated()
        name, length = struct.unpack_from("<4sI", data, position)
        body = data[position + 8 : position + 8 + length]
        if len(body) < length:
            raise _truncated()
        if name in (b"ANIM", b"ANMF") or (name == b"VP8X" and body[:1] and body[0] & 0x02):
            raise _animated()
        if name == b"VP8X":
            if length < 10 or canvas is not None:
                raise _malformed("its WebP header is wrong")
            canvas = (int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1)
        elif name in (b"VP8 ", b"VP8L"):
            if size is not None:
                raise _malformed("it has two WebP pictures")
            size = _webp_size(name, body)
        position += 8 + length + (length & 1)
    if size is None:
        raise _truncated()
    if canvas not in (None, size):
        raise _malformed("its WebP header gives another size than its picture")
    return Header("WEBP", *size, data)


def _webp_size(name: bytes, body: bytes) -> tuple[int, int]:
    if name == b"VP8 " and body[3:6] == b"\x9d\x01\x2a" and len(body) >= 10:
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    if name == b"VP8L" and body[:1] == b"\x2f" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise _malformed("its WebP data do not start with a picture")
