"""JPEG, segment by segment."""

import re
import struct
from dataclasses import dataclass, field

from services.orchestrator.media.picture_header import Header, Refused, check_size, malformed, truncated
from services.reasons import AssetReason

#: A progressive JPEG may ask for a pass over all its pixels with each scan of a few bytes; real ones have about ten.
MAX_SCANS = 64
END = b"\xff\xd9"

#: The next marker within entropy-coded data: not a stuffed zero, not a restart, not fill.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
#: Segments that may follow a scan: tables, the next scan, notes. Anything else is not part of the picture.
_FOLLOWS = {0xC4, 0xDA, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)}


def inspect(data: bytes) -> Header:
    """Returns the picture without the bytes behind it and between its segments.

    Some cameras omit the end marker: a picture without it is accepted if its scans are complete.

    Raises:
        Refused: incomplete, broken, of an unsupported kind, or beyond a limit.
    """
    kept = [data[:2]]
    position = 2
    frame: _Frame | None = None
    scans = 0
    ended = False
    while (found := _MARKER.search(data, position)) is not None:
        marker = data[found.end() - 1]
        if marker == 0xD9:
            ended = True
            break
        segment = _segment(data, found.end())
        if scans and (marker not in _FOLLOWS or segment is None):
            break
        if marker in (0x01, 0xD8):
            raise malformed("a JPEG marker is out of place")
        if segment is None:
            raise truncated()
        end = found.end() + 2 + len(segment)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if frame is not None:
                raise malformed("it has two JPEG frames")
            frame = _Frame.of(marker, segment)
        if marker == 0xDA:
            if frame is None:
                raise malformed("its data come before its size")
            scans += 1
            if scans > MAX_SCANS:
                what = f"is a JPEG of more than {MAX_SCANS} scans, which is the limit"
                raise Refused(AssetReason.PICTURE_TOO_COMPLEX, f"{what}; save the picture again as a baseline JPEG")
            frame.scan(segment)
            after = _MARKER.search(data, end)
            end = len(data) if after is None else after.start()
        if _drawn(marker, segment):
            kept.append(data[found.start() : end])
        position = end
        if frame is not None and frame.is_whole():
            break  # the rest does not change the picture
    if frame is None or scans == 0:
        raise malformed("it has no picture data") if ended else truncated()
    if not (frame.has_begun() if ended else frame.is_whole()):
        raise truncated()
    return Header("JPEG", frame.width, frame.height, b"".join([*kept, END]), lossy=True)


def _segment(data: bytes, position: int) -> bytes | None:
    """Returns the content of a segment; None if it does not end within the data."""
    length = int.from_bytes(data[position : position + 2], "big")
    end = position + length
    return data[position + 2 : end] if length >= 2 and end <= len(data) else None


@dataclass(slots=True)
class _Frame:
    """The picture's components, and how much of them the scans contain."""

    width: int
    height: int
    components: bytes
    progressive: bool
    _missing: dict[tuple[int, int], int] = field(default_factory=dict)
    """For each component and frequency that a scan contained: the number of lowest bits that are still missing."""

    @classmethod
    def of(cls, marker: int, segment: bytes) -> "_Frame":
        if marker not in (0xC0, 0xC1, 0xC2) or len(segment) < 6 or segment[0] != 8 or segment[5] not in (1, 3, 4):
            raise malformed("it is a kind of JPEG that is not supported")
        height, width = struct.unpack_from(">HH", segment, 1)
        check_size(width, height)
        return cls(width, height, segment[6 : 6 + 3 * segment[5] : 3], marker == 0xC2)

    def scan(self, segment: bytes) -> None:
        """Records the content that a scan declares."""
        count = segment[0] if segment else 0
        if len(segment) < 4 + 2 * count:
            raise malformed("a JPEG scan has no header")
        first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
        if not self.progressive:
            first, last, bits = 0, 63, 0
        for component in set(segment[1 : 1 + 2 * count : 2]) & set(self.components):
            for frequency in range(first, min(last, 63) + 1):
                self._missing[component, frequency] = bits & 15

    def has_begun(self) -> bool:
        """Whether the scans contain a part of every component: some programs omit the finest details."""
        return all((component, 0) in self._missing for component in self.components)

    def is_whole(self) -> bool:
        """Whether the scans contain every bit of every frequency of every component."""
        return len(self._missing) >= 64 * len(set(self.components)) and not any(self._missing.values())


def _drawn(marker: int, segment: bytes) -> bool:
    """Of the application segments only orientation, profile and Adobe's note on inks change how the picture looks."""
    if marker == 0xE1:
        return segment.startswith(b"Exif\0\0")
    if marker == 0xE2:
        return segment.startswith(b"ICC_PROFILE\0")
    if marker == 0xEE:
        return segment.startswith(b"Adobe")
    return marker not in range(0xE0, 0xF0) and marker != 0xFE
