"""Accounts: how much of a budget is reserved and spent in a period."""

from dataclasses import dataclass, replace
from datetime import datetime


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
