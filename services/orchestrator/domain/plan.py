"""The plan: what a tenant, each of its users and each of its API keys may do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Spend, UnfinishedJobs


@dataclass(frozen=True, slots=True)
class Plan:
    """A list of limits and allow-lists. What is absent is unlimited; 0 is none."""

    name: str
    limits: tuple[Limit, ...] = ()
    display_name: str = ""
    models: frozenset[str] | None = None
    """Models that may be used; None: all. The same holds for the next two."""
    operations: frozenset[str] | None = None
    resolutions: frozenset[str] | None = None
    """Of remote models; sizes of local ones, such as `224x128`, are listed here too."""
    price_most_micros: int | None = None
    """The highest price of one job; None: unlimited."""
    priority: int = 0
    """Jobs of plans with a higher priority begin first."""
    weight: int = 1
    """Share of a backend's slots compared with other tenants that wait, 1 to 100."""


def four_limits(
    name: str, tenant_budget_micros: int, user_budget_micros: int, tenant_active_jobs: int, user_active_jobs: int
) -> Plan:
    """Returns a plan of a monthly budget and a number of unfinished jobs, for the tenant and for each user."""
    return Plan(
        name,
        (
            Limit(Spend(), Subject.TENANT, Per.MONTH, tenant_budget_micros),
            Limit(Spend(), Subject.USER, Per.MONTH, user_budget_micros),
            Limit(UnfinishedJobs(), Subject.TENANT, Per.AT_A_TIME, tenant_active_jobs),
            Limit(UnfinishedJobs(), Subject.USER, Per.AT_A_TIME, user_active_jobs),
        ),
    )


def plans_from_toml(parsed: Mapping[str, Any]) -> dict[str, Plan]:
    """Builds the plans from the tables of `plans.toml`. Raises KeyError or TypeError on a malformed plan."""
    return {name: four_limits(name=name, **table) for name, table in parsed["plans"].items()}
