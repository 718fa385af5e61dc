"""The period of a budget: a calendar month in UTC."""

from datetime import UTC, datetime


def period(now: datetime) -> str:
    """Returns the budget period of a moment: its calendar month in UTC, `2026-11`."""
    return f"{now.astimezone(UTC):%Y-%m}"


def period_end(now: datetime) -> datetime:
    """Returns when the period of a moment ends and fresh budgets begin."""
    utc = now.astimezone(UTC)
    year, month = (utc.year + 1, 1) if utc.month == 12 else (utc.year, utc.month + 1)
    return datetime(year, month, 1, tzinfo=UTC)
