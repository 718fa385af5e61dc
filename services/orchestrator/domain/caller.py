"""The caller: who makes a request."""

from dataclasses import dataclass, field

from services.orchestrator.domain.limits.calendar import BillingCalendar
from services.orchestrator.domain.plan import Plan


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant with its plan, and the user on whose behalf it calls."""

    tenant: str
    user: str
    plan: Plan
    """With the overrides that hold for this user and key."""
    key: str = ""
    """Id of the API key; empty: the call came with a token."""
    calendar: BillingCalendar = field(default_factory=BillingCalendar)
