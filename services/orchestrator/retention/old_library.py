"""Moves assets to the trash that their plan keeps no longer."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.keep_rules import KeepRules
from services.orchestrator.domain.retention import Due, Kind
from services.orchestrator.ports.trash import OldTrash

ENTRIES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class OldLibrary:
    """The move of old entries to the trash."""

    trash: OldTrash
    rules: Callable[[], Mapping[str, KeepRules]]
    """Returns the rules of each plan that holds now."""

    @property
    def kind(self) -> Kind:
        """The library."""
        return Kind.LIBRARY

    async def due(self, before: datetime) -> Due:
        """Returns which entries are older than their plan keeps them at this time."""
        return await self.trash.expired(self.rules(), before)

    async def batches(self, before: datetime) -> AsyncGenerator[int, None]:
        """Moves some of them to the trash, and yields their number."""
        while moved := await self.trash.trash_expired(self.rules(), before, limit=ENTRIES_AT_ONCE):
            yield moved
