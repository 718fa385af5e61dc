"""The periods of limits, in any time zone and at every change of the clocks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.limits.calendar import BillingCalendar, Per

PERIODS = [Per.DAY, Per.MONTH, Per.ANNIVERSARY]
ZONES = sorted(available_timezones())
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))


@given(MOMENTS, st.sampled_from(ZONES), st.sampled_from(PERIODS), st.integers(1, 31))
def test_each_moment_is_in_exactly_one_period_and_the_next_begins_where_it_ends(
    now: datetime, zone: str, per: Per, day: int
) -> None:
    calendar = BillingCalendar(zone, date(2024, 1, day))
    period = calendar.period(per, now)
    assert period.start is not None and period.end is not None
    assert period.start <= now < period.end
    assert calendar.period(per, period.start) == period
    assert calendar.period(per, period.end - timedelta(microseconds=1)) == period
    following = calendar.period(per, period.end)
    assert following.start == period.end and following.key > period.key


def test_a_month_ends_in_the_tenants_time_zone() -> None:
    calendar = BillingCalendar("Pacific/Auckland")
    last = datetime(2026, 11, 30, 10, 59, 59, 999999, tzinfo=UTC)  # 23:59:59 there
    assert calendar.period(Per.MONTH, last).key == "2026-11"
    assert calendar.period(Per.MONTH, last + timedelta(microseconds=1)).key == "2026-12"
    assert BillingCalendar().period(Per.MONTH, last + timedelta(hours=13)).key == "2026-11"


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)])
def test_a_day_on_which_the_clocks_change_is_shorter_or_longer(day: date, hours: int) -> None:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    period = BillingCalendar("Europe/Berlin").period(Per.DAY, noon)
    assert period.start is not None and period.end is not None
    assert (period.key, period.end - period.start) == (day.isoformat(), timedelta(hours=hours))


def test_a_day_without_a_midnight_begins_at_its_first_moment() -> None:
    noon = datetime(2018, 11, 4, 12, tzinfo=ZoneInfo("America/Sao_Paulo"))  # the clocks went from 0:00 to 1:00
    period = BillingCalendar("America/Sao_Paulo").period(Per.DAY, noon)
    assert period.start == datetime(2018, 11, 4, 1, tzinfo=ZoneInfo("America/Sao_Paulo"))


@pytest.mark.parametrize(
    ("now", "key", "end"),
    [
        (datetime(2026, 1, 30, tzinfo=UTC), "from 2025-12-31", datetime(2026, 1, 31, tzinfo=UTC)),
        (datetime(2026, 1, 31, tzinfo=UTC), "from 2026-01-31", datetime(2026, 2, 28, tzinfo=UTC)),
        (datetime(2026, 2, 28, tzinfo=UTC), "from 2026-02-28", datetime(2026, 3, 31, tzinfo=UTC)),
        (datetime(2028, 2, 28, tzinfo=UTC), "from 2028-01-31", datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_month_from_the_31st_begins_on_the_last_day_of_a_shorter_one(now: datetime, key: str, end: datetime) -> None:
    period = BillingCalendar("UTC", date(2024, 1, 31)).period(Per.ANNIVERSARY, now)
    assert (period.key, period.end) == (key, end)


def test_what_counts_at_a_time_has_no_period() -> None:
    period = BillingCalendar().period(Per.AT_A_TIME, datetime(2026, 1, 1, tzinfo=UTC))
    assert (period.key, period.start, period.end) == ("", None, None)


def test_an_unknown_time_zone_is_an_error() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        BillingCalendar("Europe/Atlantis").period(Per.DAY, datetime(2026, 1, 1, tzinfo=UTC))


@given(st.dates(date(2000, 1, 1), date(2037, 1, 1)), st.sampled_from(ZONES))
def test_a_day_begins_where_its_period_begins_and_a_day_that_a_zone_left_out_where_the_next_one_does(
    day: date, zone: str
) -> None:
    calendar = BillingCalendar(zone)
    start, following = calendar.day_start(day), calendar.day_start(day + timedelta(days=1))
    assert start <= following
    period = calendar.period(Per.DAY, start)
    assert (period.start, period.end) == (start, following) or start == following
