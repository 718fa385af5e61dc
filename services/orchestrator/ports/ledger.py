"""The ledger of every tenant."""

from collections.abc import Sequence
from typing import Protocol

from services.orchestrator.domain.ledger import Entry


class Ledger(Protocol):
    """The bookings. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def newest(self, tenant: str, user: str, *, limit: int) -> Sequence[Entry]:
        """Returns the newest entries of a user, the newest first."""
