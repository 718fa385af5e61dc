"""HEIC and AVIF, box by box: whether the file is complete. The decoder finds its size and its frames."""

from services.orchestrator.media.picture_header import Format, Header, animated, malformed, truncated

#: In most files the first box describes the picture, and the second holds its data.
_NEEDED = b"meta"
_MOVING = (b"msf1", b"hevc", b"hevx")


def inspect(data: bytes, form: Format) -> Header:
    """Returns the picture without bytes behind it; its size is not known yet. Raises Refused: incomplete or animated.

    Phones put videos and notes into boxes behind the picture. An incomplete box at the end counts as such an extra only
    if its name is unknown.
    """
    if data[8:12] in _MOVING:
        raise animated()
    position, described = 0, False
    while position + 8 <= len(data):
        length, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if length == 1:
            length = int.from_bytes(data[position + 8 : position + 16], "big")
        elif length == 0:
            length = len(data) - position
        if length < 8 or not name.isalnum():
            break  # no box, so it is not part of the picture
        if position + length > len(data):
            if name in (b"ftyp", b"meta", b"mdat", b"idat"):
                raise truncated()
            break
        described |= name == _NEEDED
        position += length
    if not described:
        raise truncated() if position >= len(data) else malformed("it describes no picture")
    return Header(form, 0, 0, data[:position], lossy=True)
