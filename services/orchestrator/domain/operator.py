"""An operator: a person who runs the service, with a key and a role."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

BOOTSTRAP = "settings"
"""Id of the operator whose key is in the settings. It is an admin, and the way to make others."""


class Role(StrEnum):
    """What an operator may do; each role may do what those before it may."""

    VIEWER = "viewer"
    """See everything."""
    OPERATOR = "operator"
    """Suspend and resume tenants, make and revoke API keys, override limits, settle paid calls."""
    ADMIN = "admin"
    """Create and delete tenants, change plans, book credits, and make operators."""

    def includes(self, other: "Role") -> bool:
        """Whether this role may do what another may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator. Each has one key, whose id is the operator's."""

    id: str
    name: str
    role: Role
    create_time: datetime | None = None
    expire_time: datetime | None = None
    revoke_time: datetime | None = None
    last_use_time: datetime | None = None
