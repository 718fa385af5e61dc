"""Retiming: moves the samples of a fragment to their time in a playlist, without a change of its size. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from services.studio.live.boxes import UnplayableError
from services.studio.live.fragment_head import DecodeTime, FragmentHead


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes that replace those at a place in the file."""

    at: int
    data: bytes


def patches(head: FragmentHead, number: int, begins_s: Fraction) -> list[Patch]:
    """Returns what makes a fragment the segment `number`, from 0, whose pictures begin after so many seconds.

    All tracks move by the same time, so that sound stays with its pictures. Raises UnplayableError if a time does not
    fit into its field.
    """
    leading = next((each for each in head.times if each.track.handler == b"vide"), head.times[0])
    moved_s = begins_s - Fraction(leading.time, leading.track.timescale)
    return [Patch(head.sequence, (number + 1).to_bytes(4, "big")), *(_moved(each, moved_s) for each in head.times)]


def patched(chunk: bytes, at: int, changes: Sequence[Patch]) -> bytes:
    """Returns bytes of the file from a place with the patches in them."""
    for change in changes:
        first, last = max(at, change.at), min(at + len(chunk), change.at + len(change.data))
        if first < last:
            part = change.data[first - change.at : last - change.at]
            chunk = chunk[: first - at] + part + chunk[last - at :]
    return chunk


def _moved(decoded: DecodeTime, moved_s: Fraction) -> Patch:
    time = max(0, decoded.time + round(moved_s * decoded.track.timescale))  # the priming of a sound may begin before 0
    if time >= 1 << 8 * decoded.size:
        raise UnplayableError("begins at a time that does not fit into its field")
    return Patch(decoded.at, time.to_bytes(decoded.size, "big"))
