"""Warnings: the use of a limit has reached a share of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

THRESHOLDS = (80, 90, 100)
"""Percent of a limit, with its credit, at which a warning is given."""
AGAIN_AFTER = timedelta(hours=1)
"""A limit at a time has no period: it warns of a threshold again after this time. Others warn once a period."""


@dataclass(frozen=True, slots=True)
class UsageWarning:
    """Used and held together have reached a threshold of a limit."""

    threshold: int
    """Percent."""
    time: datetime


@dataclass(frozen=True, slots=True)
class CounterWarning:
    """A warning, and the counter that it is about."""

    tenant: str
    subject: str
    """As in counters: empty for the tenant, `user:…` or `key:…`."""
    measure: str
    period: str
    threshold: int
    """Percent."""
