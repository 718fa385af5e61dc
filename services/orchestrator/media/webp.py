"""WebP, chunk by chunk."""

import struct

from services.orchestrator.media.picture_header import Header, animated, check_size, malformed, truncated


def inspect(data: bytes) -> Header:
    """Returns the picture; bytes behind it are left out. Raises Refused: not whole, broken, moving, beyond a limit."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise truncated()
    position, frames = 12, 0
    canvas: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    lossy = False
    while position < end:
        if position + 8 > end:
            raise truncated()
        name, length = struct.unpack_from("<4sI", data, position)
        body = data[position + 8 : min(position + 8 + length, end)]
        if len(body) < length:
            raise truncated()
        if name == b"ANMF":
            frames += 1
            lossy = body[16:20] != b"VP8L"
            if frames > 1:
                raise animated()
        elif name == b"VP8X":
            if length < 10 or canvas is not None:
                raise malformed("its WebP header is wrong")
            canvas = (int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1)
        elif name in (b"VP8 ", b"VP8L"):
            if size is not None:
                raise malformed("it has two WebP pictures")
            size, lossy = _size(name, body), name == b"VP8 "
        position += 8 + length + (length & 1)
    if frames and size is None:
        size = canvas
    if size is None:
        raise truncated()
    if canvas not in (None, size):
        raise malformed("its WebP header gives another size than its picture")
    check_size(*size)
    return Header("WEBP", *size, data[: end + (end & 1)], lossy)


def _size(name: bytes, body: bytes) -> tuple[int, int]:
    if name == b"VP8 " and body[3:6] == b"\x9d\x01\x2a" and len(body) >= 10:
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    if name == b"VP8L" and body[:1] == b"\x2f" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise malformed("its WebP data do not start with a picture")
