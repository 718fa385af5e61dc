"""Credits and debits: what they change, what they refuse, and that a repeat changes nothing."""

import asyncio
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.errors import NotFound, PreconditionFailed, QuotaExceeded, RequestIdReused
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.limits.calendar import BillingCalendar, Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Spend
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.usage import Owner
from services.orchestrator.ports.credits import Booked, Booking
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, a_caller, a_plan, admit, limit_status, numbered

ACT = Act(NOON, "operators/eve", "BookCredit", "tenants/studio", "studio", "a gift", "call-7")


def booking(amount: int, reference: str = "r1", user: str = "", **plan: int) -> Booking:
    return Booking(reference, a_caller(user, **plan), amount)


async def test_a_credit_raises_the_tenants_limit_and_a_named_users_too(store: PostgresStore) -> None:
    assert await store.credits.book(booking(7), ACT) == Booked(1_000_007, "2026-11")
    assert await store.credits.book(booking(5, "r2", "ann"), ACT) == Booked(500_005, "2026-11")
    assert [(await limit_status(store, subject, "spend")).credit for subject in ("tenant", "user")] == [12, 5]
    assert (await limit_status(store, "user", "spend", "bob")).credit == 0
    assert await store.counter_audits.full(limit=9) == []
    (entry,) = await store.ledger.newest(Owner("studio", "ann"), limit=10)
    assert (entry.reference, entry.kind, entry.credit_micros) == ("r2", "credit", 5)
    assert (entry.reason, entry.actor) == ("a gift", "operators/eve")


async def test_what_is_credited_can_be_spent_and_what_is_debited_cannot(store: PostgresStore) -> None:
    plan = {"tenant_budget_micros": 1000, "user_budget_micros": 5000}
    await admit(store, numbered(1), **plan)
    with pytest.raises(QuotaExceeded):
        await admit(store, numbered(2), **plan)
    await store.credits.book(booking(1000, **plan), ACT)
    await admit(store, numbered(2), **plan)
    await store.credits.book(booking(1000, "r2", **plan), ACT)
    assert (await store.credits.book(booking(-1000, "r3", **plan), ACT)).left_micros == 0
    with pytest.raises(QuotaExceeded):
        await admit(store, numbered(3), **plan)
    assert await store.counter_audits.full(limit=9) == []


async def test_a_debit_of_more_than_what_is_left_books_nothing(store: PostgresStore) -> None:
    plan = {"tenant_budget_micros": 5000, "user_budget_micros": 1500}
    await admit(store, numbered(1), **plan)
    for user, left, whose in (("", "4000", "tenant"), ("ann", "500", "user")):
        with pytest.raises(PreconditionFailed) as caught:
            await store.credits.book(booking(-int(left) - 1, "r1", user, **plan), ACT)
        assert caught.value.reason == "DEBIT_TOO_LARGE"
        assert caught.value.metadata == {"subject": whose, "left": left}
    assert [(await limit_status(store, subject, "spend", **plan)).credit for subject in ("tenant", "user")] == [0, 0]
    assert (await store.credits.book(booking(-500, "r1", "ann", **plan), ACT)).left_micros == 0
    assert await store.counter_audits.full(limit=9) == []


async def test_a_debit_counts_against_the_smaller_plan_that_holds_now(store: PostgresStore) -> None:
    await admit(store, numbered(1), tenant_budget_micros=5000)
    with pytest.raises(PreconditionFailed) as caught:
        await store.credits.book(booking(-600, tenant_budget_micros=1500), ACT)
    assert caught.value.metadata["left"] == "500"
    with pytest.raises(PreconditionFailed) as caught:
        await store.credits.book(booking(-1, tenant_budget_micros=500), ACT)
    assert caught.value.metadata["left"] == "0"
    assert (await store.credits.book(booking(100, tenant_budget_micros=500), ACT)).left_micros == 0


async def test_a_repeat_books_nothing_and_another_booking_is_refused(store: PostgresStore) -> None:
    await store.credits.book(booking(7), ACT)
    again = await store.credits.book(booking(7), replace(ACT, reason="said otherwise"))
    assert again == Booked(1_000_007, "2026-11", repeated=True)
    for other in (booking(8), booking(-7), booking(7, user="ann"), Booking("r1", Caller("story", "", a_plan()), 7)):
        with pytest.raises(RequestIdReused):
            await store.credits.book(other, ACT)
    assert (await limit_status(store, "tenant", "spend")).credit == 7
    entries = await store.audit_log.page(tenant="studio", before=None, limit=10)
    assert [entry.after for entry in entries] == [{"repeated": "True"}, {"credit_micros": "7"}]


async def test_of_bookings_that_race_each_counts_once(store: PostgresStore) -> None:
    same = [store.credits.book(booking(7, "same"), ACT) for _ in range(5)]
    others = [store.credits.book(booking(1, f"r{number}", "ann"), ACT) for number in range(5)]
    jobs = [admit(store, numbered(number)) for number in range(1, 6)]
    booked = await asyncio.gather(*same, *others)
    await asyncio.gather(*jobs)
    assert sum(each.repeated for each in booked) == 4
    assert (await limit_status(store, "tenant", "spend")).credit == 12
    assert await store.counter_audits.full(limit=9) == []


async def test_where_nothing_is_limited_nothing_is_booked(store: PostgresStore) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        await store.credits.book(Booking("r1", Caller("studio", "ann", Plan("free")), 7), ACT)
    assert caught.value.reason == "BUDGET_UNLIMITED"
    with pytest.raises(NotFound):
        await store.credits.book(Booking("r1", Caller("nowhere", "", a_plan()), 7), ACT)


async def test_a_credit_raises_a_limit_of_the_anniversary_month_too(store: PostgresStore) -> None:
    plan = Plan("free", (Limit(Spend(), Subject.TENANT, Per.ANNIVERSARY, 1000),))
    studio = Caller("studio", "", plan, calendar=BillingCalendar(anniversary=date(2026, 1, 15)))
    assert (await store.credits.book(Booking("r1", studio, 7), ACT)) == Booked(1007, "from 2026-11-15")
    credited = {each.limit.per: each.credit for each in await store.counters.status(studio) if each.credit}
    assert credited == {Per.ANNIVERSARY: 7, Per.MONTH: 7}
    with pytest.raises(PreconditionFailed) as caught:
        await store.credits.book(Booking("r2", studio, -1008), ACT)
    assert caught.value.metadata == {"subject": "tenant", "left": "1007"}
    assert await store.counter_audits.full(limit=9) == []


async def test_the_month_is_that_of_the_tenants_time_zone(store: PostgresStore) -> None:
    last_day = replace(ACT, time=NOON.replace(day=30, hour=20))
    tokyo = Caller("studio", "", a_plan(), calendar=BillingCalendar("Asia/Tokyo"))
    assert (await store.credits.book(Booking("r1", tokyo, 7), last_day)).period == "2026-12"


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(amounts=st.lists(st.integers(-(10**6), 10**6).filter(bool), max_size=6))
async def test_any_bookings_keep_the_ledger_and_the_counter_equal(store: PostgresStore, amounts: list[int]) -> None:
    left = (await limit_status(store, "tenant", "spend")).left
    assert left is not None
    for amount in amounts:
        reference = f"{amount}-{len(await store.audit_log.page(tenant='studio', before=None, limit=200))}"
        try:
            booked = await store.credits.book(booking(amount, reference), ACT)
        except PreconditionFailed:
            assert left + amount < 0
            await store.audit_log.refused(ACT, "DEBIT_TOO_LARGE")
            continue
        left += amount
        assert booked.left_micros == left
    assert await store.counter_audits.full(limit=9) == []
