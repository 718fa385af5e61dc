"""The boxes of an ISO base media file (ISO/IEC 14496-12), read from bytes that may be hostile. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

BOXES_MOST = 1_000
"""In one container."""


class UnplayableError(Exception):
    """The bytes are no fragment that can be cut into segments; the message says why."""


class TooShortError(Exception):
    """More of the file is needed."""

    def __init__(self, size: int) -> None:
        self.size = size
        """Bytes from the beginning of the file, at least."""
        super().__init__(f"{size} bytes are needed")


@dataclass(frozen=True, slots=True)
class Box:
    """A box. All places are bytes from the beginning of the file."""

    kind: bytes
    start: int
    body: int
    """Where its header ends."""
    end: int


def boxes(data: bytes, start: int, end: int, *, top: bool = False) -> Iterator[Box]:
    """Yields the boxes from `start` to `end`, of which `data` may have only the first.

    At the top of a file the last one may have no size.

    Raises UnplayableError where there is none, TooShortError where its header is not in `data`.
    """
    for _ in range(BOXES_MOST):
        if start == end:
            return
        box = _box(data, start, end, top=top)
        yield box
        start = box.end
    raise UnplayableError(f"has more than {BOXES_MOST} boxes in one")


def inside(data: bytes, box: Box, skip: int = 0) -> dict[bytes, list[Box]]:
    """Returns the boxes in a box by their kinds, those after the first `skip` bytes of its body."""
    found: dict[bytes, list[Box]] = {}
    if box.body + skip > box.end:
        raise UnplayableError(f"has a box {_name(box.kind)} that is too short")
    for each in boxes(data, box.body + skip, box.end):
        found.setdefault(each.kind, []).append(each)
    return found


def one(found: dict[bytes, list[Box]], kind: bytes) -> Box:
    """Returns the box of a kind. Raises UnplayableError if there is none, or more than one."""
    if len(found.get(kind, ())) != 1:
        raise UnplayableError(f"has {len(found.get(kind, ()))} boxes {_name(kind)} where one belongs")
    return found[kind][0]


def number(data: bytes, box: Box, offset: int, size: int) -> int:
    """Returns an unsigned number at an offset in the body of a box, which `data` has whole."""
    at = box.body + offset
    if at + size > min(box.end, len(data)):
        raise UnplayableError(f"has a box {_name(box.kind)} that is too short")
    return int.from_bytes(data[at : at + size], "big")


def content(data: bytes, box: Box) -> bytes:
    """Returns the body of a box."""
    return data[box.body : box.end]


def _box(data: bytes, start: int, end: int, *, top: bool) -> Box:
    if start + 8 > end:
        raise UnplayableError("ends within the header of a box")
    header = 8
    if start + header > len(data):
        raise TooShortError(start + header)
    size, kind = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
    if size == 1:
        header = 16
        if start + header > end:
            raise UnplayableError("ends within the header of a box")
        if start + header > len(data):
            raise TooShortError(start + header)
        size = int.from_bytes(data[start + 8 : start + 16], "big")
    elif size == 0 and top:
        size = end - start
    if size < header or start + size > end:
        raise UnplayableError(f"has a box {_name(kind)} of {size} bytes, where {end - start} are left")
    return Box(kind, start, start + header, start + size)


def _name(kind: bytes) -> str:
    return repr(kind.decode("latin-1"))
