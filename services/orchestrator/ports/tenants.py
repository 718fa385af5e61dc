"""The tenants, for those who administer them."""

from collections.abc import Callable, Sequence
from typing import Protocol

from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.limits.override import Override
from services.orchestrator.domain.tenant import Holdings, Tenant


class Tenants(Protocol):
    """The tenants. Each change, its entry in the audit log and the word to all processes are one transaction.

    Every method raises services.errors.Unavailable if the database cannot be reached.
    """

    async def create(self, tenant: Tenant, act: Act) -> None:
        """Stores a new tenant. Raises PreconditionFailed if the id is or was in use."""

    async def get(self, tenant: str) -> Tenant:
        """Returns a tenant. Raises NotFound."""

    async def page(self, *, after: str, limit: int) -> Sequence[Tenant]:
        """Returns the tenants with ids after one, in the order of their ids."""

    async def change(self, tenant: str, decide: Callable[[Tenant], Tenant], act: Act) -> Tenant:
        """Stores what `decide` returns for the locked tenant. Raises NotFound, and what `decide` raises."""

    async def delete(self, tenant: str, decide: Callable[[Tenant, int], Tenant], act: Act) -> Tenant:
        """As `change`, with the number of unfinished jobs; revokes the keys, and deletes the endpoints of webhooks."""

    async def holdings(self, tenant: str) -> Holdings:
        """Returns what a tenant has. Raises NotFound."""

    async def unfinished(self, tenant: str, limit: int) -> Sequence[str]:
        """Returns ids of jobs that have not ended, the oldest first."""

    async def users(self, tenant: str, *, after: str, limit: int) -> Sequence[str]:
        """Returns the first users by name, after one, who have anything. Raises NotFound for an unknown tenant."""


class LimitOverrides(Protocol):
    """The limits that differ from the plan's for one subject of a tenant."""

    async def put(self, tenant: str, override: Override, act: Act) -> None:
        """Stores an override in place of the one before. Raises NotFound, or PreconditionFailed for too many."""

    async def remove(self, tenant: str, override: Override, act: Act) -> None:
        """Removes an override. Raises NotFound if there is none."""

    async def of_tenant(self, tenant: str) -> Sequence[Override]:
        """Returns a tenant's overrides, by subject and limit. Raises NotFound."""
