"""The names of codecs (RFC 6381) from the sample entries of an MP4. Pure."""

from services.studio.live.boxes import Box, UnplayableError, content, inside, one

VISUAL, SOUND = 78, 28
"""Bytes of a sample entry before its boxes."""


def name_of(data: bytes, entry: Box) -> str:
    """Returns the codec of a sample entry, such as `avc1.64001F`; empty for one that has no name here.

    Raises UnplayableError if the entry is malformed.
    """
    kind = entry.kind.decode("latin-1")
    if kind in ("avc1", "avc3"):
        configured = content(data, one(inside(data, entry, VISUAL), b"avcC"))
        if len(configured) < 4:
            raise UnplayableError("has a box 'avcC' that is too short")
        return f"{kind}.{configured[1:4].hex().upper()}"
    if kind in ("hvc1", "hev1"):
        return f"{kind}.{_hevc(content(data, one(inside(data, entry, VISUAL), b'hvcC')))}"
    if kind == "mp4a":
        return f"mp4a.{_mpeg4_audio(content(data, one(inside(data, entry, SOUND), b'esds')))}"
    return "opus" if kind == "Opus" else ""


def _hevc(configured: bytes) -> str:
    """Returns profile, compatibility, tier with level, and constraints (ISO/IEC 14496-15, annex E)."""
    if len(configured) < 13:
        raise UnplayableError("has a box 'hvcC' that is too short")
    first = configured[1]
    space, tier, profile = ("", "A", "B", "C")[first >> 6], "H" if first & 0x20 else "L", first & 0x1F
    compatibility = int(f"{int.from_bytes(configured[2:6], 'big'):032b}"[::-1], 2)
    constraints = [f"{each:X}" for each in configured[6:12].rstrip(b"\0")]
    return ".".join([f"{space}{profile}", f"{compatibility:X}", f"{tier}{configured[12]}", *constraints])


def _mpeg4_audio(described: bytes) -> str:
    """Returns the object type, and of AAC the audio object type, of an elementary stream's descriptors."""
    at = 4  # after version and flags
    kind, body, end = _descriptor(described, at)
    if kind != 3 or body + 3 > len(described):
        raise UnplayableError("has a box 'esds' without a descriptor of the stream")
    flags, at = described[body + 2], body + 3
    at += 2 * bool(flags & 0x80)
    if flags & 0x40:
        at += 1 + (described[at] if at < len(described) else 0)
    at += 2 * bool(flags & 0x20)
    kind, body, end = _descriptor(described, at)
    if kind != 4 or body + 13 > end:
        raise UnplayableError("has a box 'esds' without a descriptor of the decoder")
    object_type = described[body]
    if object_type != 0x40:
        return f"{object_type:X}"
    kind, body, end = _descriptor(described, body + 13)
    if kind != 5 or body >= end:
        raise UnplayableError("has a box 'esds' without the configuration of the decoder")
    return f"40.{described[body] >> 3}"


def _descriptor(data: bytes, at: int) -> tuple[int, int, int]:
    """Returns the tag of a descriptor, and where its body begins and ends."""
    size, place = 0, at + 1
    for _ in range(4):
        if place >= len(data):
            break
        size = size << 7 | data[place] & 0x7F
        place += 1
        if not data[place - 1] & 0x80:
            if place + size > len(data):
                break
            return data[at], place, place + size
    raise UnplayableError("has a box 'esds' that is cut off")
