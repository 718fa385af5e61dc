"""What a process must know of a credential to answer a call."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.api_key import ApiKey
from services.orchestrator.domain.limits.override import Override
from services.orchestrator.domain.operator import Operator
from services.orchestrator.domain.session import Session
from services.orchestrator.domain.tenant import Tenant
from services.orchestrator.ports.signal import Signal


@dataclass(frozen=True, slots=True)
class TenantAccess:
    """A tenant, its overrides, and the key with which it calls."""

    tenant: Tenant
    overrides: tuple[Override, ...] = ()
    key: ApiKey | None = None
    """None: it calls with a token."""


@dataclass(frozen=True, slots=True)
class SessionAccess:
    """A session, or one that waits for its ticket, and its tenant with the key for which it stands."""

    session: Session
    access: TenantAccess


class Credentials(Protocol):
    """The credentials. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def of_key(self, key_sha256: str) -> TenantAccess | Operator | None:
        """Returns whose key it is, by the key's digest; ended ones too. None if the key is unknown."""

    async def of_tenant(self, tenant: str) -> TenantAccess | None:
        """Returns a tenant without a key; None if there is no such tenant."""

    async def of_session(self, sha256: str) -> SessionAccess | None:
        """Returns the session of a token or a ticket, by its digest; expired ones too. None if there is none."""

    async def used(self, times: Mapping[str, datetime]) -> None:
        """Stores when keys, by their ids, were last used. An earlier time than the stored one changes nothing."""

    def changes(self) -> AbstractAsyncContextManager[Signal]:
        """Yields a signal that is raised when a tenant, a key, an operator or an override may have changed."""

    def ended_sessions(self) -> AbstractAsyncContextManager[Signal]:
        """Yields a signal that is raised when a session may have ended."""
