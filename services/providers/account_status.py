"""What the vendor thinks of our account, by its last word on it: the catalog shows it, routing avoids it."""

from enum import Enum

from services.providers.system_clock import Clock
from services.providers.vendor import Failed

MEMORY_S = 300.0
"""After that somebody must try again, or nobody would notice that the account was topped up."""


class Trouble(Enum):
    """Why the account cannot be used."""

    NO_KEY = "no-key"
    NO_CREDIT = "no-credit"


class AccountStatus:
    """One vendor's account. Without a key it is of no use, whatever the vendor says."""

    def __init__(self, clock: Clock, *, has_key: bool) -> None:
        self.has_key = has_key
        self._clock = clock
        self._trouble: Trouble | None = None
        self._since = 0.0

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong, as far as was heard lately."""
        if not self.has_key:
            return Trouble.NO_KEY
        return self._trouble if self._clock() - self._since < MEMORY_S else None

    def accepted(self) -> None:
        """The vendor has taken work."""
        self._trouble = None

    def refused(self, failed: Failed) -> None:
        """The vendor has refused work; perhaps because of the account."""
        trouble = {"BAD_KEY": Trouble.NO_KEY, "NO_CREDIT": Trouble.NO_CREDIT}.get(failed.reason)
        if trouble is not None:
            self._trouble, self._since = trouble, self._clock()
