"""Prices and charges."""

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.price import partial_charge, price, show


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
