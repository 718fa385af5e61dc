"""Whether the vendor's account can be used, by its last answer: the catalog shows it, routing avoids it."""

from collections.abc import Callable, Mapping
from enum import Enum

from services.providers.system_clock import Clock
from services.providers.vendor import Failed
from services.reasons import Reason, VendorReason

REMEMBERED_S = 300.0
"""Seconds. After them a new submission is tried: it shows whether the account was topped up."""


class AccountProblem(Enum):
    """Why the account cannot be used."""

    NO_KEY = "no-key"
    NO_CREDIT = "no-credit"


PROBLEMS: Mapping[Reason, AccountProblem] = {
    VendorReason.BAD_KEY: AccountProblem.NO_KEY,
    VendorReason.NO_CREDIT: AccountProblem.NO_CREDIT,
}


class AccountStatus:
    """One vendor's account. Without a key it cannot be used."""

    def __init__(self, clock: Clock, key: Callable[[], str]) -> None:
        """`key` returns the key that is used now; empty: there is none."""
        self._key = key
        self._clock = clock
        self._refused_key = ""
        self._problem: AccountProblem | None = None
        self._since = 0.0

    @property
    def has_key(self) -> bool:
        """Whether there is a key."""
        return bool(self._key())

    @property
    def problem(self) -> AccountProblem | None:
        """What is wrong, by the recent answers."""
        if not self.has_key:
            return AccountProblem.NO_KEY
        if self._key() != self._refused_key:  # another key may do
            return None
        return self._problem if self._clock() - self._since < REMEMBERED_S else None

    def accepted(self) -> None:
        """The vendor has taken work."""
        self._problem = None

    def refused(self, failed: Failed) -> None:
        """The vendor has refused work; perhaps because of the account."""
        problem = PROBLEMS.get(failed.reason)
        if problem is not None:
            self._problem, self._since, self._refused_key = problem, self._clock(), self._key()
