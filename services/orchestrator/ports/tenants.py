"""Tenants, as their API keys name them."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant, and the name of its plan."""

    id: str
    plan: str


class Tenants(Protocol):
    """The tenants. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def of_key(self, key_sha256: str) -> Tenant | None:
        """Returns the tenant of an API key by the key's digest, None if the key is unknown."""
