"""The operators whose keys are in the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.operator import Operator


class Operators(Protocol):
    """The operators. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def create(self, operator: Operator, sha256: str, act: Act) -> None:
        """Stores an operator and the digest of the key."""

    async def all(self) -> Sequence[Operator]:
        """Returns the operators, the oldest first, revoked ones too."""

    async def revoke(self, operator: str, now: datetime, act: Act) -> Operator:
        """Ends an operator's key; an ended one stays as it is. Raises NotFound."""
