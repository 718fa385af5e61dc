"""The audit log."""

from collections.abc import Sequence
from typing import Protocol

from services.orchestrator.domain.audit import Act, AuditEntry


class AuditLog(Protocol):
    """The log. Every method raises services.errors.Unavailable if the database cannot be reached.

    What changes the database writes its entry in its own transaction. These methods are for everything else.
    """

    async def refused(self, act: Act, outcome: str) -> None:
        """Writes an act that was refused, with the reason of the refusal."""

    async def begin(self, act: Act) -> int:
        """Writes an act before it is done, and returns the entry's id."""

    async def end(self, entry: int, outcome: str) -> None:
        """Writes how an act ended."""

    async def page(self, *, tenant: str, before: int | None, limit: int) -> Sequence[AuditEntry]:
        """Returns entries with ids below one, the newest first; of one tenant, or of all if it is empty."""
