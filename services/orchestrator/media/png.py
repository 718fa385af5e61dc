"""PNG, chunk by chunk."""

import struct
import zlib
from collections.abc import Iterable

from services.orchestrator.media.picture_header import (
    MAX_PROFILE_BYTES,
    TAKEN,
    Header,
    Refused,
    animated,
    check_size,
    malformed,
    truncated,
)
from services.reasons import AssetReason

#: The chunks that Pillow needs. Texts may be decompression bombs and are not in the list; a profile is checked.
_DRAWN = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND")
#: The chunks of an animation. An APNG of one frame is a still picture, which is in IDAT.
_MOVING = (b"acTL", b"fcTL", b"fdAT")
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel, by colour type."""
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced picture: first column and row, and the steps between them."""
_PIECE = 1 << 20


def inspect(data: bytes) -> Header:
    """Returns the picture; bytes behind it are left out. Raises Refused: not whole, broken, moving, beyond a limit."""
    kept, drawing = [data[:8]], []
    position = 8
    header = b""
    name = b""
    while name != b"IEND":
        if position + 12 > len(data):
            raise truncated()
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise truncated()
        if name == b"CgBI":
            raise Refused(AssetReason.PICTURE_FORMAT, f"is a PNG for Apple's programs alone; send a {TAKEN} picture")
        if (name == b"IHDR") != (not header):
            raise malformed("a PNG starts with its one IHDR chunk")
        body = memoryview(data)[position + 8 : end - 4]
        if name == b"IHDR":
            header = bytes(body)
            _check(header)
        if name == b"acTL" and length >= 4 and int.from_bytes(body[:4], "big") > 1:
            raise animated()
        if name in _DRAWN:
            chunk = data[position:end]
            if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
                raise malformed(f"the checksum of a {name.decode()} chunk is wrong")
            kept.append(chunk)
            if name == b"IDAT":
                drawing.append(body)
        elif name == b"iCCP" and _unpacks_small(bytes(body)):
            kept.append(data[position:end])
        elif not name[0] & 0x20 and name not in _MOVING:
            raise malformed("it has an unknown critical chunk")
        position = end
    width, height, bits = struct.unpack_from(">IIB", header)
    if not _unpacks_to(drawing, _raw_bytes(header)):
        raise truncated()
    return Header("PNG", width, height, b"".join(kept), lossy=False, bits=bits)


def _check(header: bytes) -> None:
    if len(header) != 13:
        raise malformed("the IHDR chunk has a wrong length")
    width, height = struct.unpack_from(">II", header)
    check_size(width, height)
    if header[9] not in _SAMPLES:
        raise malformed("it has an unknown colour type")


def _raw_bytes(header: bytes) -> int:
    """Returns the size of all rows in bytes, including the filter byte of each row."""
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    total = 0
    for column, row, across, down in passes:
        columns, rows = -(-(width - column) // across), -(-(height - row) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits * _SAMPLES[colour] + 7) // 8)
    return total


def _unpacks_to(pieces: Iterable[memoryview], wanted: int) -> bool:
    """Whether compressed pieces unpack to so many bytes; no decoder reports it when they unpack to fewer.

    True also for data that cannot be unpacked: the decoder has a better message for them.
    """
    unpacking, have = zlib.decompressobj(), 0
    try:
        for piece in pieces:
            packed: bytes | memoryview = piece
            while packed and have < wanted and not unpacking.eof:
                have += len(unpacking.decompress(packed, _PIECE))
                packed = unpacking.unconsumed_tail
        while have < wanted and not unpacking.eof and (more := unpacking.decompress(unpacking.unconsumed_tail, _PIECE)):
            have += len(more)
    except zlib.error:
        return True
    return have >= wanted


def _unpacks_small(profile: bytes) -> bool:
    packed = profile.partition(b"\0")[2][1:]
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(packed, MAX_PROFILE_BYTES)
    except zlib.error:
        return False
    return unpacking.eof
