"""What a caller reads and a program gets when limits refuse a job."""

from datetime import UTC, date, datetime

import pytest

from services.errors import QuotaExceeded
from services.orchestrator.domain.limits import denial
from services.orchestrator.domain.limits.asked_limit import ask
from services.orchestrator.domain.limits.calendar import BillingCalendar, Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import (
    Demand,
    Jobs,
    Measure,
    QueuedJobs,
    Spend,
    StoredBytes,
    UnfinishedJobs,
    VideoSeconds,
)
from services.orchestrator.domain.limits.override import Override, limit_of, overridden, subject_of
from services.orchestrator.domain.limits.status import LimitStatus
from services.orchestrator.domain.limits.warning_text import warning_text
from services.orchestrator.domain.plan import Plan
from tests.support.builders import NOON

BERLIN = BillingCalendar("Europe/Berlin", date(2026, 1, 15))
FREE = Plan("free", display_name="Free")
DEMAND = Demand(quote_micros=1001, duration_ms=4000, operation="talking-avatar", models=("nano",))


def status(measure: Measure, subject: Subject, per: Per, most: int | None, used: int = 0, held: int = 0) -> LimitStatus:
    return LimitStatus(Limit(measure, subject, per, most), BERLIN.period(per, NOON), used, held)


def sentence(given: LimitStatus) -> str:
    [violation] = denial.violations(ask([given], [DEMAND]), FREE, BERLIN.time_zone)
    return violation.description


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            status(Spend(), Subject.USER, Per.MONTH, 500_000, 399_000, 100_000),
            "The user's budget of 0.500000 USD has 0.001000 USD left; 0.001001 USD is needed. "
            "It resets at 2026-12-01 00:00 Europe/Berlin.",
        ),
        (
            status(UnfinishedJobs(), Subject.TENANT, Per.AT_A_TIME, 3, 0, 3),
            "The tenant has 3 unfinished jobs; the plan Free allows 3 at a time. Wait for one to end, or cancel one.",
        ),
        (
            status(QueuedJobs(), Subject.KEY, Per.AT_A_TIME, 1, 0, 1),
            "The API key has 1 queued job; the plan Free allows 1 at a time. Wait for one to end, or cancel one.",
        ),
        (
            status(Jobs(operation="talking-avatar"), Subject.USER, Per.DAY, 2, 1, 1),
            "The user has used 2 of 2 talking-avatar jobs that the plan Free allows a day; 1 more was asked for. "
            "It resets at 2026-11-22 00:00 Europe/Berlin.",
        ),
        (
            status(VideoSeconds(), Subject.TENANT, Per.ANNIVERSARY, 10_000, 7500, 0),
            "The tenant has used 7.5 s of 10 s of video that the plan Free allows a month; 4 s more were asked for. "
            "It resets at 2026-12-15 00:00 Europe/Berlin.",
        ),
        (
            status(Jobs(model="nano"), Subject.TENANT, Per.MONTH, 0),
            "The plan Free allows the tenant no nano jobs. Ask for another plan.",
        ),
        (
            status(Jobs(), Subject.KEY, Per.DAY, 0),
            "The plan Free allows the API key no jobs. Ask for another plan.",
        ),
        (
            status(Spend(), Subject.USER, Per.MONTH, 1000),
            "The user's budget of 0.001000 USD has 0.001000 USD left; 0.001001 USD is needed. "
            "That is more than the whole limit: ask for less.",
        ),
        (
            status(VideoSeconds(), Subject.USER, Per.DAY, 3_456_789, 3_456_789),
            "The user has used 3456.789 s of 3456.789 s of video that the plan Free allows a day; 4 s more were asked "
            "for. It resets at 2026-11-22 00:00 Europe/Berlin.",
        ),
    ],
)
def test_a_person_reads_who_has_used_how_much_of_what_and_when_it_resets(given: LimitStatus, said: str) -> None:
    assert sentence(given) == said


@pytest.mark.parametrize(
    ("key", "most", "used", "said"),
    [
        ("user jobs day", 0, 0, "An override of the plan Free allows the user no jobs. Ask the operators."),
        (
            "key queued at-a-time",
            1,
            1,
            "The API key has 1 queued job; an override of the plan Free allows 1 at a time. "
            "Wait for one to end, or cancel one.",
        ),
        (
            "user jobs day",
            2,
            2,
            "The user has used 2 of 2 jobs that an override of the plan Free allows a day; 1 more was asked for. "
            "It resets at 2026-11-22 00:00 Europe/Berlin.",
        ),
    ],
)
def test_the_limit_of_an_override_is_not_said_to_be_the_plans(key: str, most: int, used: int, said: str) -> None:
    limit = limit_of(key, most)
    subject = subject_of(limit, "ann", "k1")
    [holds] = overridden(FREE, [Override(subject, limit)], "ann", "k1").limits
    assert sentence(LimitStatus(holds, BERLIN.period(holds.per, NOON), used)) == said
    if most > 1:
        warned = warning_text(LimitStatus(holds, BERLIN.period(holds.per, NOON), used), FREE, "UTC")
        assert "that an override of the plan Free allows a day (100 %)" in warned


def test_every_violated_limit_is_named_and_what_is_unlimited_or_enough_is_not() -> None:
    statuses = [
        status(Spend(), Subject.TENANT, Per.MONTH, None, 10**12),
        status(Spend(), Subject.USER, Per.MONTH, 2000, 1000),
        status(Jobs(), Subject.USER, Per.DAY, 5, 5),
        status(Jobs(model="another"), Subject.USER, Per.DAY, 0),
        status(Jobs(), Subject.KEY, Per.DAY, 5, 4),
    ]
    with pytest.raises(QuotaExceeded) as refused:
        denial.check(ask(statuses, [DEMAND]), FREE, "UTC")
    assert [(each.subject, each.measure, each.reason) for each in refused.value.violations] == [
        ("user", "spend", "USER_BUDGET_EXCEEDED"),
        ("user", "jobs", "LIMIT_EXCEEDED"),
    ]
    assert refused.value.metadata == {
        "subject": "user",
        "measure": "spend",
        "per": "month",
        "plan": "free",
        "limit": "2000",
        "used": "1000",
        "asked": "1001",
        "violations": "2",
        "resets_at": "2026-11-30T23:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("statuses", "retry_time"),
    [
        ([status(Jobs(), Subject.USER, Per.DAY, 1, 1)], datetime(2026, 11, 21, 23, tzinfo=UTC)),
        (
            [status(Jobs(), Subject.USER, Per.DAY, 1, 1), status(Spend(), Subject.TENANT, Per.MONTH, 2000, 2000)],
            datetime(2026, 11, 30, 23, tzinfo=UTC),  # the later one
        ),
        ([status(UnfinishedJobs(), Subject.USER, Per.AT_A_TIME, 1, 0, 1)], None),  # not time, but an end helps
        ([status(Spend(), Subject.TENANT, Per.MONTH, 1000)], None),  # it costs more than the whole budget
        ([status(Jobs(), Subject.USER, Per.DAY, 0)], None),  # the plan allows none
    ],
)
def test_a_program_is_asked_to_wait_only_where_waiting_helps(
    statuses: list[LimitStatus], retry_time: datetime | None
) -> None:
    found = denial.violations(ask(statuses, [DEMAND]), FREE, "UTC")
    assert len(found) == len(statuses)
    assert denial.quota_exceeded(found).retry_time == retry_time


def test_a_file_for_which_there_is_no_room_is_refused_with_its_size_and_a_way_out() -> None:
    statuses = [
        status(StoredBytes(), Subject.TENANT, Per.AT_A_TIME, None, 10**9),
        status(StoredBytes(), Subject.USER, Per.AT_A_TIME, 100_000_000, 95_500_000),
        status(StoredBytes(), Subject.KEY, Per.AT_A_TIME, 1),  # keys own no files
        status(Jobs(), Subject.USER, Per.DAY, 1, 1),
    ]
    assert denial.of_upload(statuses, 4_500_000, FREE, "UTC") is None
    refused = denial.of_upload(statuses, 4_500_001, FREE, "UTC")
    assert refused is not None and refused.retry_time is None
    assert refused.message == (
        "The user has 95.5 MB of stored files; the plan Free allows 100 MB, and this file has 4.500001 MB. "
        "Send a smaller file, or ask for another plan."
    )
