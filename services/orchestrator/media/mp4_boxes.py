"""The outermost boxes of an MP4: whether the file is complete, which FFmpeg does not check. Runs in the child only."""

import io
from typing import BinaryIO

from services.orchestrator.media.picture_header import Refused
from services.reasons import Reason

CUT_SHORT = "ends before it should: the file or its upload was cut short; send all of it"
_NEEDED = (b"ftyp", b"moov", b"moof", b"mdat")
"""The boxes that must be complete; extra boxes of makers behind them need not be."""


def demand_whole(source: BinaryIO, reason: Reason) -> None:
    """Rewinds the file. Raises Refused, with this reason, if a box extends beyond the end of the file."""
    size, position = source.seek(0, io.SEEK_END), 0
    while position + 8 <= size:
        source.seek(position)
        head = source.read(16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if name in _NEEDED and position + length > size:
            raise Refused(reason, CUT_SHORT)
        if length < 8:  # to the end of the file, or no box
            break
        position += length
    source.seek(0)
