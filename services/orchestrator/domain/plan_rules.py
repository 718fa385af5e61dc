"""The rules of a plan: they explain which limit a new job is beyond.

The admission statement decides, while it holds the accounts' rows; the rules name the limit that refused. To add a
limit: a field of `Plan`, a condition in the statement (`store/admission_statement.py`), a class here, its name in
`RULES`.
"""

from datetime import datetime
from typing import Protocol

from services.errors import QuotaExceeded
from services.orchestrator.domain.account import Account, Usage
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.price import show
from services.reasons import Reason, RequestReason


class Rule(Protocol):
    """One limit."""

    def check(self, plan: Plan, usage: Usage, quote_micros: int) -> None:
        """Raises QuotaExceeded when `usage`, in which a job of this quote is counted, is beyond the plan."""


class TenantBudget:
    """The whole tenant spends at most its budget."""

    def check(self, plan: Plan, usage: Usage, quote_micros: int) -> None:
        """Raises QuotaExceeded (TENANT_BUDGET_EXCEEDED)."""
        _budget("tenant", usage.tenant, quote_micros, usage.resets_at, RequestReason.TENANT_BUDGET_EXCEEDED)


class UserBudget:
    """One user spends at most its budget."""

    def check(self, plan: Plan, usage: Usage, quote_micros: int) -> None:
        """Raises QuotaExceeded (USER_BUDGET_EXCEEDED)."""
        _budget("user", usage.user, quote_micros, usage.resets_at, RequestReason.USER_BUDGET_EXCEEDED)


class TenantActiveJobs:
    """A tenant has at most so many unfinished jobs."""

    def check(self, plan: Plan, usage: Usage, quote_micros: int) -> None:
        """Raises QuotaExceeded (TENANT_ACTIVE_JOBS_EXCEEDED)."""
        _active("tenant", usage.tenant, plan.tenant_active_jobs, RequestReason.TENANT_ACTIVE_JOBS_EXCEEDED)


class UserActiveJobs:
    """A user has at most so many unfinished jobs."""

    def check(self, plan: Plan, usage: Usage, quote_micros: int) -> None:
        """Raises QuotaExceeded (USER_ACTIVE_JOBS_EXCEEDED)."""
        _active("user", usage.user, plan.user_active_jobs, RequestReason.USER_ACTIVE_JOBS_EXCEEDED)


RULES: tuple[Rule, ...] = (TenantBudget(), UserBudget(), TenantActiveJobs(), UserActiveJobs())


def check(plan: Plan, usage: Usage, quote_micros: int) -> None:
    """Holds a job against every rule. Raises QuotaExceeded at the first that refuses."""
    for rule in RULES:
        rule.check(plan, usage, quote_micros)


def _budget(subject: str, account: Account, quote: int, resets_at: datetime, reason: Reason) -> None:
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
        reason=reason,
    )


def _active(subject: str, account: Account, limit: int, reason: Reason) -> None:
    if account.active_jobs <= limit:
        return
    raise QuotaExceeded(
        f"The {subject} has {account.active_jobs - 1} unfinished jobs; the plan allows {limit} at a time. "
        "Wait for one to end, or cancel one.",
        subject=subject,
        limit=limit,
        used=account.active_jobs - 1,
        asked=1,
        reason=reason,
    )
