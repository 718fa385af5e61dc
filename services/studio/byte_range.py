"""The part of a file that an HTTP request asks for (RFC 9110, section 14)."""

import re
from dataclasses import dataclass

_ONE = re.compile(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))", re.IGNORECASE | re.ASCII)


class UnsatisfiableError(Exception):
    """The file has no byte of the range."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Some bytes of a file, at least one."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.last - self.first + 1


def parse(header: str, size: int) -> ByteRange | None:
    """Returns the range of a header `Range` in a file of `size` bytes; None: the whole file is to be sent.

    That is so without a header, and for one of another form or with several ranges, which a server may ignore.
    Raises UnsatisfiableError.
    """
    found = _ONE.fullmatch(header.strip())
    if found is None:
        return None
    begin, end, tail = found.groups()
    if tail is not None:
        first, last = max(0, size - int(tail)), size - 1
    else:
        first, last = int(begin), min(size - 1, int(end)) if end is not None else size - 1
        if end is not None and int(end) < first:
            return None  # not a range
    if first >= size:
        raise UnsatisfiableError
    return ByteRange(first, last)
