"""The ledger: every change of an account, one row each, only ever added.

The sums of an account's entries are its `reserved` and `spent`, at every moment.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What was booked."""

    RESERVE = "reserve"
    SETTLE = "settle"
    REFUND = "refund"
    """Of a job that was charged for a vendor's task which turned out to cost nothing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One booking on one account."""

    job_id: str
    kind: Kind
    reserved_micros: int
    """Change of what is set aside."""
    spent_micros: int
    """Change of what is spent."""
    time: datetime
