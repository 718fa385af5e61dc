"""Prices, charges and the rules of a plan."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import QuotaExceeded
from services.orchestrator.domain import plan_rules
from services.orchestrator.domain.account import Account, Usage
from services.orchestrator.domain.budget_period import period, period_end
from services.orchestrator.domain.plan_rules import RULES
from services.orchestrator.domain.price import partial_charge, price, show
from tests.support.builders import NOON, a_plan

RESET = datetime(2026, 12, 1, tzinfo=UTC)


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_price_is_never_below_the_exact_one_and_less_than_a_micro_above(ms: int, per_second: int) -> None:
    assert 0 <= price(ms, per_second) * 1000 - ms * per_second < 1000


@given(st.integers(0, 10**12), st.integers(-1, 500), st.integers(0, 500))
def test_a_partial_charge_is_within_the_quote_and_grows_with_what_was_made(quote: int, made: int, total: int) -> None:
    charge = partial_charge(quote, made, total)
    assert 0 <= charge <= quote
    assert charge <= partial_charge(quote, made + 1, total)
    assert partial_charge(quote, 0, total) == 0
    assert total == 0 or partial_charge(quote, total, total) == quote


def test_amounts_are_shown_to_the_micro() -> None:
    assert [show(n) for n in (0, 5000, 1_500_000, -1)] == [
        "0.000000 USD",
        "0.005000 USD",
        "1.500000 USD",
        "-0.000001 USD",
    ]


@given(
    budget=st.integers(0, 10_000),
    reserved=st.integers(0, 10_000),
    spent=st.integers(0, 10_000),
    active=st.integers(0, 5),
    quote=st.integers(0, 10_000),
)
def test_what_the_rules_allow_is_within_every_limit(
    budget: int, reserved: int, spent: int, active: int, quote: int
) -> None:
    plan = a_plan(tenant_budget_micros=budget, user_budget_micros=budget, tenant_active_jobs=3, user_active_jobs=3)
    account = Account(budget, reserved, spent, active)
    fits = reserved + spent + quote <= budget and active + 1 <= 3
    try:
        plan_rules.check(plan, Usage(account, account, RESET).counting(quote), quote)
    except QuotaExceeded:
        assert not fits
    else:
        assert fits


def test_a_refusal_says_which_limit_how_much_is_used_and_when_it_resets() -> None:
    usage = Usage(Account(10_000_000), Account(500_000, 100_000, 399_000), RESET).counting(1001)
    with pytest.raises(QuotaExceeded) as refused:
        plan_rules.check(a_plan(), usage, 1001)
    assert refused.value.message == (
        "The user's budget of 0.500000 USD has 0.001000 USD left; this job costs 0.001001 USD. "
        "It resets at 2026-12-01 00:00 UTC."
    )
    assert refused.value.metadata == {
        "subject": "user",
        "limit": "500000",
        "used": "499000",
        "asked": "1001",
        "resets_at": "2026-12-01T00:00:00+00:00",
    }
    assert len(RULES) == 4


def test_a_period_is_a_calendar_month_in_utc() -> None:
    assert (period(NOON), period_end(NOON)) == ("2026-11", RESET)
    assert period_end(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)
