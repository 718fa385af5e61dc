"""The lines of a price: what is paid for, how much of it, and what it costs. They sum to the quote exactly."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.remote import ANY
from services.orchestrator.domain.spec import Spec


class LineKind(StrEnum):
    """What a line is for. It decides the unit of the quantity."""

    VIDEO_SECONDS = "video-seconds"
    MINIMUM_SECONDS = "minimum-seconds"
    """Seconds that are billed in addition, up to the model's minimum."""
    VIDEO = "video"
    PROMPT = "prompt"
    FALLBACK_MODEL = "fallback-model"
    """What is reserved in addition, up to the price of the most expensive model that may be tried."""


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One line."""

    kind: LineKind
    description: str
    quantity: float
    """Seconds, or a number."""
    unit_price_micros: int
    amount_micros: int


def quote_lines(card: ModelCard, spec: Spec, quote_micros: int, allowance_micros: int) -> list[PriceLine]:
    """Returns the lines of the quote of a completed spec; `allowance_micros` is for the writing of its prompt."""
    lines = video_lines(card, spec)
    if fallback := quote_micros - allowance_micros - sum(line.amount_micros for line in lines):
        what = f"the most expensive model of {spec.capability}"
        lines.append(PriceLine(LineKind.FALLBACK_MODEL, what, 1, fallback, fallback))
    if allowance_micros:
        what = "writing the prompt, at most"
        lines.append(PriceLine(LineKind.PROMPT, what, 1, allowance_micros, allowance_micros))
    return lines


def video_lines(card: ModelCard, spec: Spec) -> list[PriceLine]:
    """Returns the lines of a completed spec's video. Their sum is `card.quote(spec)`."""
    duration_ms = spec.duration_ms or 0
    if card.remote is None:
        what, price = f"video by {card.id}", card.price_per_second_micros
        return [PriceLine(LineKind.VIDEO_SECONDS, what, duration_ms / 1000, price, card.quote(spec))]
    remote, what = card.remote, f"{spec.resolution or 'video'} by {card.id}"
    tariff, (least, most) = remote.prices[spec.resolution or ANY], remote.billed_s
    seconds = min(most, -(-duration_ms // 1000))
    lines = []
    if per_run := tariff.per_run_micros:
        lines.append(PriceLine(LineKind.VIDEO, what, 1, per_run, per_run))
    if (price := tariff.per_second_micros) or not per_run:
        lines.append(PriceLine(LineKind.VIDEO_SECONDS, what, seconds, price, seconds * price))
    if price and (added := least - seconds) > 0:
        what = f"{card.id} bills at least {least} s"
        lines.append(PriceLine(LineKind.MINIMUM_SECONDS, what, added, price, added * price))
    return lines


def card_version(card: ModelCard) -> str:
    """Returns the version of a card's prices: 12 hexadecimal digits that change with any of them."""
    remote = card.remote
    tariffs = (
        {name: (each.per_second_micros, each.per_run_micros) for name, each in remote.prices.items()} if remote else {}
    )
    priced = [card.id, card.price_per_second_micros, tariffs, remote.billed_s if remote else None]
    return _digest(priced)


def prices_version(cards: Sequence[ModelCard]) -> str:
    """Returns the version of the prices on which a quote rests: of one card, or of every model that may be tried."""
    versions = sorted(card_version(card) for card in cards)
    return versions[0] if len(versions) == 1 else _digest(versions)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
