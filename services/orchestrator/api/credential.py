"""The credentials that this service knows: those of tenants and of operators."""

from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.api_key import Scope
from services.orchestrator.domain.live_url import LiveUrl
from services.orchestrator.domain.operator import Operator
from services.orchestrator.domain.session import Session
from services.orchestrator.domain.share import Share
from services.orchestrator.domain.signed_url import SignedUrl
from services.orchestrator.ports.credentials import TenantAccess
from services.rpc.auth import Credential

OPERATORS = "!operators"
"""What operators have in place of a tenant: no tenant can have this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCredential(Credential):
    """A key or a token of a tenant."""

    access: TenantAccess
    scopes: frozenset[Scope]
    expire_time: datetime | None = None
    """Of a token."""
    key_sha256: str = ""
    """Empty: a token."""
    session: Session | None = None
    """None: the key or the token itself."""
    session_sha256: str = ""
    """Of a session."""

    @property
    def identity(self) -> str:
        """Equal for two calls that may do the same."""
        return (
            self.key_sha256
            or self.session_sha256
            or f"{self.tenant} {self.user} {self.expire_time} {' '.join(sorted(self.scopes))}"
        )

    @property
    def key_id(self) -> str:
        """Id of the API key; empty: a token."""
        return self.access.key.id if self.access.key is not None else ""

    @property
    def actor(self) -> str:
        """Who it is, in the audit log."""
        whose = f"tenants/{self.tenant}"
        return f"{whose}/keys/{self.key_id}" if self.key_id else f"{whose}/users/{self.user}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketCredential(Credential):
    """The ticket of a sign-in link: it begins one session."""

    access: TenantAccess
    ticket_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCredential(Credential):
    """A key of an operator."""

    operator: Operator
    key_sha256: str = ""
    """Empty: the key of the settings."""

    @property
    def identity(self) -> str:
        """Equal for two calls that may do the same."""
        return self.key_sha256

    @property
    def actor(self) -> str:
        """Who it is, in the audit log."""
        return f"operators/{self.operator.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedUrlCredential(Credential):
    """The token of a signed URL: it reads one asset."""

    url: SignedUrl

    @property
    def identity(self) -> str:
        """Equal for two calls that may do the same."""
        return f"{self.tenant} {self.user} {self.url.sha256} {self.url.variant}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveUrlCredential(Credential):
    """The token of a live URL: it reads the fragments of one job."""

    url: LiveUrl

    @property
    def identity(self) -> str:
        """Equal for two calls that may do the same."""
        return f"{self.tenant} {self.user} live {self.url.job_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareCredential(Credential):
    """The token of a share: it reads what the share shows."""

    share: Share
    token_sha256: str

    @property
    def identity(self) -> str:
        """Equal for two calls that may do the same."""
        return f"share {self.share.number}"
