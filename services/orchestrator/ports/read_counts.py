"""How often assets and shares were read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.library_entry import EntryKey


@dataclass(slots=True)
class Reads:
    """What was read since the last write."""

    time: datetime
    """Of the last."""
    downloads: int = 0
    views: int = 0


class ReadCounters(Protocol):
    """Where the counts are kept."""

    async def add(self, entries: Mapping[EntryKey, Reads], shares: Mapping[int, Reads]) -> None:
        """Adds to the counts of entries, and of shares by their numbers. Raises Unavailable."""
