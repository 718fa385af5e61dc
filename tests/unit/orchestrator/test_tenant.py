"""Decisions about tenants: states, plans by time, calendars; and the overrides of their limits."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InvalidInput, PreconditionFailed
from services.orchestrator.domain import tenant
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import AMOUNT_MOST, Limit, Subject
from services.orchestrator.domain.limits.measure import Jobs, Spend
from services.orchestrator.domain.limits.override import Override, limit_of, overridden
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.tenant import Tenant, TenantState
from tests.support.builders import NOON, a_plan, amounts

STUDIO = Tenant("studio", "free")
MONTH_END = datetime(2026, 12, 1, tzinfo=UTC)


def test_a_suspended_tenant_is_resumed_and_a_deleted_one_never() -> None:
    suspended = tenant.suspend(STUDIO)
    assert suspended.state is TenantState.SUSPENDED
    assert tenant.suspend(suspended) == suspended
    assert tenant.resume(suspended) == STUDIO
    deleted = tenant.delete(STUDIO, 0, NOON, cancel_jobs=False)
    assert (deleted.state, deleted.delete_time) == (TenantState.DELETED, NOON)
    for change in (tenant.suspend, tenant.resume):
        with pytest.raises(PreconditionFailed) as caught:
            change(deleted)
        assert caught.value.reason == "TENANT_DELETED"
    with pytest.raises(PreconditionFailed):
        tenant.set_plan(deleted, "pro", NOON)
    with pytest.raises(PreconditionFailed):
        tenant.set_calendar(deleted, "UTC", None)


def test_a_tenant_with_unfinished_jobs_is_deleted_only_if_they_are_cancelled() -> None:
    with pytest.raises(PreconditionFailed) as caught:
        tenant.delete(STUDIO, 2, NOON, cancel_jobs=False)
    assert (caught.value.reason, caught.value.metadata) == ("TENANT_HAS_JOBS", {"unfinished_jobs": "2"})
    deleted = tenant.delete(STUDIO, 2, NOON, cancel_jobs=True)
    assert deleted.state is TenantState.DELETED
    assert tenant.delete(deleted, 2, NOON + timedelta(days=1), cancel_jobs=False) == deleted


def test_a_plan_from_the_end_of_the_month_begins_by_time_alone() -> None:
    planned = tenant.set_plan(STUDIO, "pro", NOON, at_end_of=Per.MONTH)
    assert planned.next_plan_time == MONTH_END
    just_before = MONTH_END - timedelta(microseconds=1)
    assert [planned.plan_at(now) for now in (NOON, just_before, MONTH_END)] == ["free", "free", "pro"]
    assert tenant.set_plan(planned, "free", NOON, at_end_of=Per.MONTH) == STUDIO, "the present plan cancels it"
    assert tenant.set_plan(planned, "basic", NOON) == Tenant("studio", "basic")
    later = tenant.set_plan(planned, "basic", MONTH_END, at_end_of=Per.MONTH)
    assert (later.plan, later.next_plan) == ("pro", "basic")
    assert later.next_plan_time == datetime(2027, 1, 1, tzinfo=UTC)


def test_the_end_of_the_month_is_that_of_the_tenants_time_zone() -> None:
    berlin = tenant.set_calendar(STUDIO, "Europe/Berlin", None)
    planned = tenant.set_plan(berlin, "pro", NOON, at_end_of=Per.MONTH)
    assert planned.next_plan_time == datetime(2026, 11, 30, 23, tzinfo=UTC)


def test_a_plan_may_begin_at_the_end_of_an_anniversary_month() -> None:
    fifteenth = tenant.set_calendar(STUDIO, "", date(2026, 1, 15))
    planned = tenant.set_plan(fifteenth, "pro", datetime(2026, 11, 20, tzinfo=UTC), at_end_of=Per.ANNIVERSARY)
    assert planned.next_plan_time == datetime(2026, 12, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("counted", "month"),
    [
        ((), Per.MONTH),
        ((Per.DAY, Per.AT_A_TIME), Per.MONTH),
        ((Per.DAY, Per.ANNIVERSARY), Per.ANNIVERSARY),
        ((Per.ANNIVERSARY, Per.MONTH), Per.MONTH),
    ],
)
def test_a_plan_ends_with_the_month_of_its_limits(counted: tuple[Per, ...], month: Per) -> None:
    assert Plan("free", tuple(Limit(Jobs(), Subject.TENANT, per, 1) for per in counted)).month is month


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../UTC", "/etc/passwd", "europe/berlin", "UTC\0", "a" * 9000])
def test_a_time_zone_is_one_of_iana(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        tenant.demand_time_zone(name)
    assert caught.value.violations[0].reason == "TIME_ZONE_UNKNOWN"


def test_an_anniversary_and_a_time_zone_change_each_alone() -> None:
    changed = tenant.set_calendar(STUDIO, "", date(2026, 1, 31))
    assert (changed.time_zone, changed.anniversary) == ("UTC", date(2026, 1, 31))
    assert tenant.set_calendar(changed, "Asia/Tokyo", None).anniversary == date(2026, 1, 31)


@pytest.mark.parametrize("text", ["", "Studio", "a/b", "-a", "a" * 64, "!operators", "a\n"])
def test_a_tenants_id_is_fit_for_the_keys_of_blobs(text: str) -> None:
    with pytest.raises(InvalidInput):
        tenant.demand_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "user spend month",
        "tenant jobs day",
        "key jobs:model=nano anniversary-month",
        "user jobs:operation=image-to-video:capability=wan day",
        "user unfinished at-a-time",
        "tenant bytes at-a-time",
    ],
)
def test_a_limit_is_written_as_it_is_read(text: str) -> None:
    assert limit_of(text, 7).key == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "user",
        "user spend",
        "user spend week",
        "user spend at-a-time",
        "user unfinished day",
        "user  spend month",
        "user spend  month",
        "everybody spend month",
        "user money month",
        "user jobs:colour=red day",
        "user jobs: day",
        "user jobs:model=a:operation=b day",
        "user jobs:unit=jobs day",
        "key bytes at-a-time",
        "user spend:model=nano month",
    ],
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        limit_of(text, 7)
    assert caught.value.violations[0].reason == "LIMIT_UNKNOWN"


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading_of_limits(text: str) -> None:
    try:
        assert limit_of(text, None).key == text
    except InvalidInput as refused:
        assert refused.violations[0].reason == "LIMIT_UNKNOWN"


@pytest.mark.parametrize("most", [-1, AMOUNT_MOST + 1, 2**63])
def test_an_amount_of_a_limit_is_within_its_range(most: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        limit_of("user spend month", most)
    assert caught.value.violations[0].reason == "AMOUNT_OUT_OF_RANGE"


def test_an_override_holds_for_its_subject_alone() -> None:
    plan = a_plan()
    spend = Override("user:ann", Limit(Spend(), Subject.USER, Per.MONTH, 7))
    more = Override("key:k1", Limit(Jobs(), Subject.KEY, Per.DAY, 3))
    for_ann = overridden(plan, [spend, more], "ann", "")
    assert amounts(for_ann) == amounts(plan) | {"user spend month": 7}
    assert overridden(plan, [spend, more], "bob", "k2") is plan
    by_key = overridden(plan, [spend, more], "bob", "k1")
    assert amounts(by_key) == amounts(plan) | {"key jobs day": 3}, "a limit that the plan lacks is added"


def test_an_override_without_an_amount_lifts_the_limit_and_zero_forbids() -> None:
    lifted = Override("user:ann", Limit(Spend(), Subject.USER, Per.MONTH, None))
    plan = overridden(a_plan(), [lifted], "ann", "")
    assert amounts(plan)["user spend month"] is None
    none = Override("", Limit(Spend(), Subject.TENANT, Per.MONTH, 0))
    assert amounts(overridden(a_plan(), [none], "ann", ""))["tenant spend month"] == 0
