"""Takes: the media playlists of a job. Each only grows, as RFC 8216 demands of an EVENT playlist. Pure.

A fragment can be replaced while a player shows it: an attempt after a lost worker made it otherwise. What a playlist
has said then stays, and the replacement begins another playlist, the next take. Players that come later get the newest
one. Players of an earlier one stay there: it goes on with the new fragments after the time that it has. So no part is
shown twice, and none is missing. If the new fragments need another initialization segment, they follow behind a
discontinuity. If not, there is none: to a decoder they are the next segments like any other, and VLC 3 stops at one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment as it was announced."""

    index: int
    sha256: str
    frames: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A fragment in a playlist."""

    fragment: Fragment
    begins: int
    """Frames before it in the playlist."""
    init: int
    """The segment, by its number in the playlist, from whose fragment its initialization segment is."""


Alike = Callable[[Fragment, Fragment], bool]
"""Whether two fragments have the same initialization segment."""


@dataclass(slots=True)
class Take:
    """A playlist."""

    segments: list[Segment] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """Frames in it."""
        return self.segments[-1].begins + self.segments[-1].fragment.frames if self.segments else 0

    @property
    def header(self) -> Fragment:
        """The fragment whose initialization segment the last one uses. There must be one."""
        return self.segments[self.segments[-1].init].fragment

    def add(self, fragment: Fragment, *, continues: bool) -> None:
        """Adds a fragment at the end; one that does not continue the last segment begins a discontinuity."""
        number = len(self.segments)
        init = self.segments[-1].init if continues and self.segments else number
        self.segments.append(Segment(fragment, self.frames, init))


def takes(announced: Iterable[Fragment], alike: Alike) -> list[Take]:
    """Returns the playlists after these announcements, the newest last. There is at least one.

    `alike` is asked of each replacement that an earlier playlist goes on with.
    """
    found, current = [Take()], list[Fragment]()
    follows: list[bool] = []
    """Whether the last segment of an earlier take is of the current fragments."""
    for fragment in announced:
        if fragment.index < len(current):
            current = [*current[: fragment.index], fragment]
            found.append(Take())
            follows = [False] * (len(found) - 1)
            for each in current:
                found[-1].add(each, continues=True)
        else:
            current.append(fragment)
            found[-1].add(fragment, continues=True)
        ends = sum(each.frames for each in current)
        for number, earlier in enumerate(found[:-1]):
            if ends > earlier.frames:
                earlier.add(fragment, continues=follows[number] or alike(earlier.header, fragment))
                follows[number] = True
    return found
