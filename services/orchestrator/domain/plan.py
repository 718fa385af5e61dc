"""The plan: what a tenant and each of its users may do in a period."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Plan:
    """What a tenant and each of its users may do in a period."""

    name: str
    tenant_budget_micros: int
    user_budget_micros: int
    tenant_active_jobs: int
    user_active_jobs: int


def plans_from_toml(parsed: Mapping[str, Any]) -> dict[str, Plan]:
    """Builds the plans from the tables of `plans.toml`. Raises KeyError or TypeError on a malformed plan."""
    return {name: Plan(name=name, **table) for name, table in parsed["plans"].items()}
