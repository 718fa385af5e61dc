"""The caller: who makes a request."""

from dataclasses import dataclass

from services.orchestrator.domain.plan import Plan


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant with its plan, and the user on whose behalf it calls."""

    tenant: str
    user: str
    plan: Plan
