"""The API keys of tenants, for those who administer them."""

from collections.abc import Callable, Sequence
from typing import Protocol

from services.orchestrator.domain.api_key import ApiKey
from services.orchestrator.domain.audit import Act


class ApiKeys(Protocol):
    """The keys. Each change, its entry in the audit log and the word to all processes are one transaction.

    Every method raises services.errors.Unavailable if the database cannot be reached.
    """

    async def create(self, key: ApiKey, sha256: str, act: Act) -> None:
        """Stores a key and the digest of its text. Raises NotFound, or PreconditionFailed for too many keys."""

    async def get(self, tenant: str, key_id: str) -> ApiKey:
        """Returns a key. Raises NotFound."""

    async def page(self, tenant: str, *, after: str, limit: int) -> Sequence[ApiKey]:
        """Returns the tenant's keys with ids after one, in the order of their ids, ended ones too."""

    async def change(self, tenant: str, key_id: str, decide: Callable[[ApiKey], ApiKey], act: Act) -> ApiKey:
        """Stores what `decide` returns for the locked key. Raises NotFound, and what `decide` raises."""

    async def rotate(
        self, tenant: str, key_id: str, decide: Callable[[ApiKey], tuple[ApiKey, ApiKey]], sha256: str, act: Act
    ) -> tuple[ApiKey, ApiKey]:
        """Stores the changed key and its successor, as `decide` returns them. Raises as `create` and `change`."""
