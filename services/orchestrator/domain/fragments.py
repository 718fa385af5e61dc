"""The current fragments of a job, over all its attempts. A stopped job is charged by them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.orchestrator.domain.event import FragmentReady


@dataclass(slots=True)
class Fragments:
    """The fragments that are not replaced, in playing order."""

    items: list[FragmentReady] = field(default_factory=list)

    @classmethod
    def of(cls, events: Iterable[FragmentReady]) -> "Fragments":
        """Returns the current fragments after these events."""
        fragments = cls()
        for event in events:
            fragments.add(event)
        return fragments

    def add(self, fragment: FragmentReady) -> None:
        """Adds a fragment: it replaces the earlier one of its index, and everything after that."""
        self.items[fragment.index :] = [fragment]

    def contains(self, fragment: FragmentReady) -> bool:
        """Whether a fragment with these bytes is current at this index."""
        known = self.items[fragment.index : fragment.index + 1]
        return [(each.asset, each.frames) for each in known] == [(fragment.asset, fragment.frames)]

    @property
    def frames(self) -> int:
        """Number of frames in all of them."""
        return sum(fragment.frames for fragment in self.items)
