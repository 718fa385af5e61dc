"""The limits of a plan, and the rules that explain why a new job is beyond one.

The admission statement decides, while it holds the accounts' rows; the rules say which limit refused. To add one: a
field of `Plan`, a condition in the statement (`store/admission_statement.py`), a class here, its name in `RULES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from services.errors import QuotaExceeded
from services.orchestrator.domain.price import show


@dataclass(frozen=True, slots=True)
class Plan:
    """What a tenant and each of its users may do in a period."""

    name: str
    tenant_budget_micros: int
    user_budget_micros: int
    tenant_active_jobs: int
    user_active_jobs: int


@dataclass(frozen=True, slots=True)
class Account:
    """One budget in one period. Always: reserved + spent <= budget."""

    budget_micros: int
    reserved_micros: int = 0
    spent_micros: int = 0
    active_jobs: int = 0

    @property
    def left_micros(self) -> int:
        """What may still be reserved."""
        return self.budget_micros - self.reserved_micros - self.spent_micros

    def counting(self, quote_micros: int) -> "Account":
        """Returns the account with one more job of this price."""
        return replace(self, reserved_micros=self.reserved_micros + quote_micros, active_jobs=self.active_jobs + 1)


@dataclass(frozen=True, slots=True)
class Usage:
    """The two accounts that a job is held against."""

    tenant: Account
    user: Account
    resets_at: datetime

    def counting(self, quote_micros: int) -> "Usage":
        """Returns the usage with one more job of this price."""
        return Usage(self.tenant.counting(quote_micros), self.user.counting(quote_micros), self.resets_at)


class Rule(Protocol):
    """One limit."""

    def check(self, plan: Plan, usage: Usage, quote_micros: int) -> None:
        """Raises QuotaExceeded when `usage`, in which a job of this quote is counted, is beyond the plan."""


class TenantBudget:
    """The whole tenant spends at most its budget."""

    def check(self, plan: Plan, usage: Usage, quote_micros: int) -> None:
        """Raises QuotaExceeded (TENANT_BUDGET_EXCEEDED)."""
        _budget("tenant", usage.tenant, quote_micros, usage.resets_at)


class UserBudget:
    """One user spends at most its budget."""

    def check(self, plan: Plan, usage: Usage, quote_micros: int) -> None:
        """Raises QuotaExceeded (USER_BUDGET_EXCEEDED)."""
        _budget("user", usage.user, quote_micros, usage.resets_at)


class TenantActiveJobs:
    """A tenant has at most so many unfinished jobs."""

    def check(self, plan: Plan, usage: Usage, quote_micros: int) -> None:
        """Raises QuotaExceeded (TENANT_ACTIVE_JOBS_EXCEEDED)."""
        _active("tenant", usage.tenant, plan.tenant_active_jobs)


class UserActiveJobs:
    """A user has at most so many unfinished jobs."""

    def check(self, plan: Plan, usage: Usage, quote_micros: int) -> None:
        """Raises QuotaExceeded (USER_ACTIVE_JOBS_EXCEEDED)."""
        _active("user", usage.user, plan.user_active_jobs)


RULES: tuple[Rule, ...] = (TenantBudget(), UserBudget(), TenantActiveJobs(), UserActiveJobs())


def check(plan: Plan, usage: Usage, quote_micros: int) -> None:
    """Holds a job against every rule. Raises QuotaExceeded at the first that refuses."""
    for rule in RULES:
        rule.check(plan, usage, quote_micros)


def _budget(subject: str, account: Account, quote: int, resets_at: datetime) -> None:
    if account.left_micros >= 0:
        return
    before = account.reserved_micros + account.spent_micros - quote
    raise QuotaExceeded(
        f"The {subject}'s budget of {show(account.budget_micros)} has {show(account.budget_micros - before)} left; "
        f"this job costs {show(quote)}. It resets at {resets_at:%Y-%m-%d %H:%M} UTC.",
        subject=subject,
        limit=account.budget_micros,
        used=before,
        asked=quote,
        resets_at=resets_at,
        reason=f"{subject.upper()}_BUDGET_EXCEEDED",
    )


def _active(subject: str, account: Account, limit: int) -> None:
    if account.active_jobs <= limit:
        return
    raise QuotaExceeded(
        f"The {subject} has {account.active_jobs - 1} unfinished jobs; the plan allows {limit} at a time. "
        "Wait for one to end, or cancel one.",
        subject=subject,
        limit=limit,
        used=account.active_jobs - 1,
        asked=1,
        reason=f"{subject.upper()}_ACTIVE_JOBS_EXCEEDED",
    )


def period(now: datetime) -> str:
    """Returns the budget period of a moment: its calendar month in UTC, `2026-11`."""
    return f"{now.astimezone(UTC):%Y-%m}"


def period_end(now: datetime) -> datetime:
    """Returns when the period of a moment ends and fresh budgets begin."""
    utc = now.astimezone(UTC)
    year, month = (utc.year + 1, 1) if utc.month == 12 else (utc.year, utc.month + 1)
    return datetime(year, month, 1, tzinfo=UTC)


def plans_from_toml(parsed: Mapping[str, Any]) -> dict[str, Plan]:
    """Builds the plans from the tables of `plans.toml`. Raises KeyError or TypeError on a malformed plan."""
    return {name: Plan(name=name, **table) for name, table in parsed["plans"].items()}
