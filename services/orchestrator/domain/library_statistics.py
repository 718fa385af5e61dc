"""Statistics of a library: how many assets there are, how large they are, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass

MODULES_MOST = 100
"""Source modules that statistics list: anybody may use any text as one."""


@dataclass(frozen=True, slots=True)
class LibraryGroup:
    """Entries that have something in common."""

    name: str
    assets: int
    size_bytes: int
    cost_micros: int


@dataclass(frozen=True, slots=True)
class LibraryStatistics:
    """The entries of a user by type, by source module (the largest MODULES_MOST) and by month (`2026-11`, in UTC).

    The most assets come first, and of months the newest.
    """

    types: Sequence[LibraryGroup]
    source_modules: Sequence[LibraryGroup]
    months: Sequence[LibraryGroup]

    @property
    def total(self) -> LibraryGroup:
        """All entries: each has one type."""
        assets = sum(each.assets for each in self.types)
        size_bytes = sum(each.size_bytes for each in self.types)
        return LibraryGroup("", assets, size_bytes, sum(each.cost_micros for each in self.types))
