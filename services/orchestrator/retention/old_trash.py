"""Deletes for good what has been in the trash for long enough."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from services.errors import NotFound, PreconditionFailed
from services.orchestrator.domain.keep_rules import KeepRules
from services.orchestrator.domain.retention import Due, Kind
from services.orchestrator.ports.trash import OldItem, OldTrash, Trash

ENTRIES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class OldTrashItems:
    """The deletion of what is in the trash."""

    old: OldTrash
    trash: Trash
    rules: Callable[[], Mapping[str, KeepRules]]
    """Returns the rules of each plan that holds now."""
    days: int
    """Days in the trash where the plan says nothing. 0: without a limit of time."""

    @property
    def kind(self) -> Kind:
        """The trash."""
        return Kind.TRASH

    async def due(self, before: datetime) -> Due:
        """Returns what has been in the trash for long enough at this time."""
        return await self.old.due(self.rules(), self.days, before)

    async def batches(self, before: datetime) -> AsyncGenerator[int, None]:
        """Deletes some of it, and yields the number of assets."""
        after = 0
        while page := await self.old.due_page(self.rules(), self.days, before, after=after, limit=ENTRIES_AT_ONCE):
            yield sum([await self._purge(item, before) for item in page])
            after = page[-1].id

    async def _purge(self, item: OldItem, now: datetime) -> int:
        try:
            await self.trash.purge(item.key, now, in_trash_only=True)
        except (NotFound, PreconditionFailed):  # restored, deleted, used or put on hold since the page was read
            return 0
        return 1
