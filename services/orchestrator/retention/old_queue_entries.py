"""Removes ended entries of the job queue."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.retention import Due, Kind
from services.orchestrator.ports.retention import OldEntries, OldEntry

ENTRIES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class OldQueueEntries:
    """The removal of queue entries."""

    entries: OldEntries
    remove: Callable[[Sequence[str]], Awaitable[None]]
    """Removes entries by their ids, whether they exist or not."""

    @property
    def kind(self) -> Kind:
        """Queue entries."""
        return Kind.QUEUE_ENTRIES

    async def due(self, before: datetime) -> Due:
        """Returns which entries ended before this time."""
        return await self.entries.due(before)

    async def batches(self, before: datetime) -> AsyncGenerator[int, None]:
        """Removes some entries, and yields their number."""
        after: OldEntry | None = None
        while page := await self.entries.page(before, after=after, limit=ENTRIES_AT_ONCE):
            await self.remove([entry.id for entry in page])
            yield len(page)
            after = page[-1]
