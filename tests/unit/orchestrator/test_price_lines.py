"""The lines of a price sum to the quote, for every tariff."""

from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.price_lines import (
    LineKind,
    PriceLine,
    card_version,
    prices_version,
    quote_lines,
    video_lines,
)
from services.orchestrator.domain.remote import Remote, Tariff
from tests.support.builders import a_card, a_spec

MICROS = st.integers(0, 10_000_000)


def a_remote_card(per_second: int = 0, per_run: int = 0, billed_s: tuple[int, int] = (0, 3600)) -> ModelCard:
    remote = Remote(
        model="far",
        capability="far-1",
        prices={"720p": Tariff(per_second, per_run)},
        price_as_of=date(2026, 11, 29),
        resolutions=("720p",),
        billed_s=billed_s,
    )
    return a_card(id="far", backend="vendor", sizes=(), fps=0, remote=remote)


def amounts(lines: list[PriceLine]) -> list[tuple[LineKind, float, int, int]]:
    return [(line.kind, line.quantity, line.unit_price_micros, line.amount_micros) for line in lines]


@given(st.integers(1, 600_000), MICROS)
def test_the_lines_of_a_local_model_sum_to_its_price(duration_ms: int, per_second: int) -> None:
    card, spec = a_card(price_per_second_micros=per_second), a_spec(duration_ms=duration_ms)
    assert sum(line.amount_micros for line in video_lines(card, spec)) == card.quote(spec)


@given(st.integers(0, 600_000), MICROS, MICROS, st.integers(0, 30), st.integers(0, 600))
def test_the_lines_of_a_remote_model_sum_to_its_price(
    duration_ms: int, per_second: int, per_run: int, least: int, more: int
) -> None:
    card = a_remote_card(per_second, per_run, (least, least + more))
    spec = a_spec(duration_ms=duration_ms, resolution="720p")
    lines = video_lines(card, spec)
    assert sum(line.amount_micros for line in lines) == card.quote(spec)
    assert all(line.amount_micros == line.quantity * line.unit_price_micros for line in lines)


@given(MICROS, MICROS, MICROS)
def test_the_rest_of_a_quote_is_for_fallback_models_and_the_prompt(price: int, more: int, allowance: int) -> None:
    card, spec = a_remote_card(per_run=price), a_spec(duration_ms=5000, resolution="720p", capability="far-1")
    lines = quote_lines(card, spec, price + more + allowance, allowance)
    assert sum(line.amount_micros for line in lines) == price + more + allowance
    extra = {line.kind: line.amount_micros for line in lines if line.kind in (LineKind.FALLBACK_MODEL, LineKind.PROMPT)}
    assert (extra.get(LineKind.FALLBACK_MODEL, 0), extra.get(LineKind.PROMPT, 0)) == (more, allowance)


def test_seconds_up_to_the_minimum_have_a_line_of_their_own() -> None:
    lines = video_lines(
        a_remote_card(per_second=30_000, billed_s=(5, 600)), a_spec(duration_ms=1200, resolution="720p")
    )
    assert amounts(lines) == [
        (LineKind.VIDEO_SECONDS, 2, 30_000, 60_000),
        (LineKind.MINIMUM_SECONDS, 3, 30_000, 90_000),
    ]
    assert lines[1].description == "far bills at least 5 s"


def test_a_free_video_has_a_line() -> None:
    assert amounts(video_lines(a_remote_card(), a_spec(duration_ms=2000, resolution="720p"))) == [
        (LineKind.VIDEO_SECONDS, 2, 0, 0)
    ]


def test_the_version_of_a_card_changes_only_with_its_prices() -> None:
    card = a_remote_card(per_second=1)
    assert card.remote is not None
    assert card_version(replace(card, description="Another text.")) == card_version(card)
    others = [
        a_remote_card(per_second=2),
        a_remote_card(per_run=1),
        a_remote_card(per_second=1, billed_s=(5, 3600)),
        replace(card, id="farther"),
    ]
    assert len({card_version(each) for each in [card, *others]}) == 5
    assert card_version(a_card()) != card_version(a_card(price_per_second_micros=1001))


def test_the_version_of_several_cards_does_not_depend_on_their_order() -> None:
    one, two = a_remote_card(per_second=1), a_remote_card(per_second=2)
    assert prices_version([one, two]) == prices_version([two, one])
    assert prices_version([one]) == card_version(one) != prices_version([one, two])
