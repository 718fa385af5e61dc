"""Which fragments of a job there are, over all its attempts: what callers were told, and what a stop is charged by."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.orchestrator.domain.event import FragmentReady


@dataclass(slots=True)
class Fragments:
    """The fragments that hold, in playing order."""

    told: list[FragmentReady] = field(default_factory=list)

    @classmethod
    def of(cls, events: Iterable[FragmentReady]) -> "Fragments":
        """Returns what holds after these events."""
        fragments = cls()
        for event in events:
            fragments.tell(event)
        return fragments

    def tell(self, fragment: FragmentReady) -> None:
        """Takes an event in: it replaces an earlier one of its index, and everything after that."""
        self.told[fragment.index :] = [fragment]

    def hold(self, fragment: FragmentReady) -> bool:
        """Whether this very fragment was told, and holds."""
        known = self.told[fragment.index : fragment.index + 1]
        return [(each.asset, each.frames) for each in known] == [(fragment.asset, fragment.frames)]

    @property
    def frames(self) -> int:
        """Frames in all of them, each once."""
        return sum(fragment.frames for fragment in self.told)
