"""The periods in which limits count: days, calendar months and months from an anniversary, in a tenant's time zone."""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

PERIODS_KEPT = 4096
"""Periods that a process keeps: each submission needs that of every limit."""


class Per(StrEnum):
    """How long a counter counts before the next one begins at zero."""

    DAY = "day"
    MONTH = "month"
    """A calendar month."""
    ANNIVERSARY = "anniversary-month"
    """A month that begins on the day of the month on which the tenant began."""
    AT_A_TIME = "at-a-time"
    """No period: what exists at the same moment."""


@dataclass(frozen=True, slots=True)
class Period:
    """One period: `start` belongs to it, `end` does not. Both are None where there is no period."""

    key: str
    """Name of the period in its counters. It does not depend on the time zone."""
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class BillingCalendar:
    """The calendar of one tenant."""

    time_zone: str = "UTC"
    """Name of the IANA database, such as `Europe/Berlin`."""
    anniversary: date = date(2000, 1, 1)
    """Only the day of the month counts. A month that is too short for it begins on its last day."""

    def period(self, per: Per, now: datetime) -> Period:
        """Returns the period of a moment. Raises ZoneInfoNotFoundError when the time zone is unknown."""
        if per is Per.AT_A_TIME:
            return Period("")
        today = now.astimezone(ZoneInfo(self.time_zone)).date()
        return _period(per, today, self.anniversary.day, self.time_zone)

    def day_start(self, day: date) -> datetime:
        """Returns the moment at which a day begins. Raises ZoneInfoNotFoundError when the time zone is unknown."""
        return _midnight(day, self.time_zone)


@lru_cache(maxsize=PERIODS_KEPT)
def _period(per: Per, today: date, anniversary: int, time_zone: str) -> Period:
    """Returns the period of a day. `anniversary` is a day of the month."""
    match per:
        case Per.DAY:
            key, first, following = today.isoformat(), today, today + timedelta(days=1)
        case Per.MONTH:
            first, following = today.replace(day=1), _month_after(today.replace(day=1), 1)
            key = f"{today:%Y-%m}"
        case Per.ANNIVERSARY:
            first = _month_day(today, anniversary)
            if first > today:
                first = _month_day(today.replace(day=1) - timedelta(days=1), anniversary)
            following = _month_day(_month_after(first.replace(day=1), 1), anniversary)
            key = f"from {first.isoformat()}"
    return Period(key, _midnight(first, time_zone), _midnight(following, time_zone))


def _month_after(first: date, months: int) -> date:
    """Returns the first day of a month that is so many months later."""
    index = first.year * 12 + first.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def _month_day(within: date, day: int) -> date:
    """Returns this day of a month, or the month's last one."""
    return within.replace(day=min(day, calendar.monthrange(within.year, within.month)[1]))


def _midnight(day: date, time_zone: str) -> datetime:
    """Returns the moment in UTC at which a day begins. Midnight may be skipped: then the first moment after it."""
    return datetime.combine(day, time(), tzinfo=ZoneInfo(time_zone)).astimezone(UTC)
