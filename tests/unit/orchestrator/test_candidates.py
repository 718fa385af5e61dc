"""The order of the candidate models, and which models are none."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InvalidSpec
from services.orchestrator.domain.candidate_models import candidates, retirement
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.remote import Remote, Tariff
from services.orchestrator.domain.spec import Spec, TextToVideo
from tests.support.builders import a_card

TODAY = date(2026, 11, 28)
SPEC = Spec("", TextToVideo("a wave"), capability="wan-2.5")


def a_remote_card(name: str, price: int = 1000, backend: str = "vendor", **remote: Any) -> ModelCard:
    prices = {"any": Tariff(per_second_micros=price)}
    given = {"model": "m", "capability": "wan-2.5", "prices": prices, "price_as_of": TODAY}
    return a_card(id=name, backend=backend, sizes=(), fps=0, remote=Remote(**(given | remote)))


def order(*cards: ModelCard, spec: Spec = SPEC, down: tuple[str, ...] = ()) -> list[str]:
    return [each.card.id for each in candidates(cards, spec, {}, TODAY, lambda backend: backend not in down)]


def reason(*cards: ModelCard, spec: Spec = SPEC) -> str:
    with pytest.raises(InvalidSpec) as refused:
        order(*cards, spec=spec)
    return refused.value.reason


def test_models_are_ordered_by_availability_then_deprecation_then_price() -> None:
    old = {"deprecate_date": TODAY}
    cards = [
        a_remote_card("down", 1, "away"),
        a_remote_card("old", 2, **old),
        a_remote_card("expensive", 9),
        a_remote_card("b", 5),
        a_remote_card("a", 5),
        a_remote_card("soon-old", 4, deprecate_date=date(2026, 11, 29)),
    ]
    assert order(*cards, down=("away",)) == ["soon-old", "a", "b", "expensive", "old", "down"]


def test_retired_too_expensive_and_unsuitable_models_are_no_candidates() -> None:
    good = a_remote_card("good", 10)
    assert order(good, a_remote_card("gone", 1, retire_date=TODAY), a_remote_card("other", 1, capability="x")) == [
        "good"
    ]
    assert order(good, a_remote_card("expensive", 11), spec=replace(SPEC, price_most_micros=10)) == ["good"]
    assert order(good, a_remote_card("none", 1), spec=replace(SPEC, duration_ms=2000)) == ["none", "good"]
    assert reason(a_card()) == "CAPABILITY_UNKNOWN"
    assert reason(a_remote_card("gone", retire_date=TODAY)) == "CAPABILITY_UNKNOWN"
    assert reason(good, spec=replace(SPEC, price_most_micros=9)) == "PRICE_ABOVE_MOST"
    assert reason(good, spec=replace(SPEC, duration_ms=3000)) == "DURATION_UNSUPPORTED"


def test_a_price_that_is_too_high_is_shown_with_its_currency() -> None:
    with pytest.raises(InvalidSpec) as refused:
        order(a_remote_card("good", 10), spec=replace(SPEC, price_most_micros=9))
    assert str(refused.value) == "spec.price_max: is 0.000009 USD; 'good' costs 0.000010 USD"


def test_a_retired_model_names_its_successor() -> None:
    gone = retirement(a_remote_card("gone", retire_date=TODAY, successor="new"), TODAY)
    assert gone is not None and gone.reason == "MODEL_RETIRED" and "take 'new'" in gone.description
    assert retirement(a_remote_card("here", retire_date=date(2026, 11, 29)), TODAY) is None


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=8), st.integers(0, 20))
def test_no_candidate_costs_more_than_is_allowed(cards: list[tuple[int, bool]], most: int) -> None:
    made = [a_remote_card(f"m{n}", price, "up" if up else "down") for n, (price, up) in enumerate(cards)]
    spec = replace(SPEC, price_most_micros=most)
    try:
        able = candidates(made, spec, {}, TODAY, lambda backend: backend == "up")
    except InvalidSpec:
        assert all(price > most for price, _ in cards)
        return
    assert {each.card.id for each in able} == {f"m{n}" for n, (price, _) in enumerate(cards) if price <= most}
    downs = [each.card.backend == "down" for each in able]
    assert downs == sorted(downs), "available models come first"
