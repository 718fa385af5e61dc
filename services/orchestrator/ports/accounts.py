"""The accounts of tenants and users, and their ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.orchestrator.domain.account import Usage
from services.orchestrator.domain.ledger import Entry
from services.orchestrator.domain.plan import Plan


@dataclass(frozen=True, slots=True)
class Statement:
    """The accounts of a user and of its tenant in the current period."""

    usage: Usage
    entries: Sequence[Entry]
    """The newest entries of the user's ledger, the newest first, at most 100."""


class Accounts(Protocol):
    """The accounts. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def statement(self, tenant: str, user: str, plan: Plan) -> Statement:
        """Returns the accounts of the current period and the user's newest ledger entries."""

    async def audit(self) -> int:
        """Returns how many accounts differ from the sums of their ledger entries, or of their holds: 0, always."""
