"""How long a track plays, by its packets. Runs in the child only.

An encoder puts silence in front of a sound and pads its last frame. Containers say how much of that players must skip
(edit lists, LAME's tag, Opus' pre-skip); FFmpeg notes it on the packets.
"""

import struct
from fractions import Fraction
from typing import Any

import av

#: Codecs with frames that are exactly as long as the recording.
_EXACT = ("flac", "alac", "pcm_")
#: Frames that an encoder may add without marking them in the file: two of delay, one of padding.
_UNMARKED_FRAMES = 3


class TrackDuration:
    """From the beginning of the first packet of a track to the end of the last, without parts that players skip."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._last = 0
        self._longest = 0
        self._skipped = 0
        self._marked = False

    def take(self, packet: "av.Packet[Any]", rate: int = 0) -> None:
        """Adds a packet of a sound with this sampling rate; ignores a packet without a time."""
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

        A difference of one frame from whole seconds comes from the encoder, and would be billed as a second.
        """
        length = self.length(time_base)
        if codec.startswith(_EXACT) or not length:
            return length
        frame, whole = self._longest * (time_base or 0), round(length)
        added = frame if self._marked else _UNMARKED_FRAMES * frame
        return Fraction(whole) if whole and -frame <= length - whole <= added else length
