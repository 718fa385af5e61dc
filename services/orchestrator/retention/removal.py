"""What every kind of removal can do."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.retention import Due, Kind


class Removal(Protocol):
    """Removes one kind of old things."""

    @property
    def kind(self) -> Kind:
        """What it removes."""

    async def due(self, before: datetime) -> Due:
        """Returns what of an age before this time is still there. Raises Unavailable."""

    def batches(self, before: datetime) -> AsyncGenerator[int, None]:
        """Removes what is due, and yields after each batch how many things were removed.

        It may end after any batch, or break within one: the next call finds what is still there. Raises Unavailable.
        """
