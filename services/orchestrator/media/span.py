"""How long a track plays, by its packets. Runs in the child only.

An encoder puts silence in front of a sound and fills up its last frame. Containers say how much of that is not to be
heard (edit lists, LAME's tag, Opus' pre-skip); FFmpeg notes it on the packets.
"""

import struct
from fractions import Fraction
from typing import Any

import av

#: Each frame of these is exactly as long as what was recorded.
_EXACT = ("flac", "alac", "pcm_")
#: How many frames an encoder adds that a file which does not mark them may have: two of delay, one filled up.
_UNMARKED_FRAMES = 3


class Span:
    """From the beginning of the first packet of a track to the end of the last, without what is not presented."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._last = 0
        self._longest = 0
        self._skipped = 0
        self._marked = False

    def take(self, packet: "av.Packet[Any]", rate: int = 0) -> None:
        """Takes a packet in, of a sound of this sampling rate; one without a time is passed over."""
        if packet.pts is None or not packet.size or packet.is_discard:
            return
        duration = packet.duration or 0
        self._longest = max(self._longest, duration)
        if rate and packet.time_base and packet.has_sidedata("skip_samples"):
            self._marked = True
            before, behind = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
            ticks = 1 / (rate * packet.time_base)
            self._skipped += round(before * ticks)
            duration = min(duration, self._longest - round(behind * ticks))
        self._first = packet.pts if self._first is None else min(self._first, packet.pts)
        self._last = max(self._last, packet.pts + duration)

    def length(self, time_base: Fraction | None) -> Fraction:
        """Returns the length in seconds; 0 before the first packet."""
        if self._first is None or time_base is None:
            return Fraction(0)
        return max(0, self._last - self._first - self._skipped) * time_base

    def heard(self, time_base: Fraction | None, codec: str) -> Fraction:
        """Returns the length of a sound in seconds.

        A frame more or less than whole seconds is the encoder's doing, and would be billed as a second.
        """
        length = self.length(time_base)
        if codec.startswith(_EXACT) or not length:
            return length
        frame, whole = self._longest * (time_base or 0), round(length)
        added = frame if self._marked else _UNMARKED_FRAMES * frame
        return Fraction(whole) if whole and -frame <= length - whole <= added else length
