"""Routing: which models of a capability can make a spec, and in which order they are asked.

An order, not a promise: the first is asked, and another only when it is certain that the one before took no money.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date

from services.errors import InvalidSpec, Violation
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.price import show
from services.orchestrator.domain.spec import Spec

PASSES_ON = frozenset(
    {
        "BAD_KEY",
        "NO_CREDIT",
        "RATE_LIMITED",
        "VENDOR_DOWN",
        "CIRCUIT_OPEN",
        "NOTHING_SUBMITTED",
        "PROVIDER_UNREACHABLE",
        "PROVIDER_MISMATCH",
        "BACKEND_UNKNOWN",
    }
)
"""Reasons that are the vendor's own: another may take what this one did not. What is wrong with the spec is not one."""

Available = Callable[[str], bool]
"""Whether a backend takes work now."""


def standing(card: ModelCard, today: date) -> Violation | None:
    """Returns why a model takes no work any more; None while it does."""
    if card.remote is None or card.remote.retire_date is None or today < card.remote.retire_date:
        return None
    instead = f"; take {card.remote.successor!r}" if card.remote.successor else ""
    what = f"is {card.id!r}, which was retired on {card.remote.retire_date}{instead}"
    return Violation("spec.model", what, "MODEL_RETIRED")


def candidates(
    cards: Iterable[ModelCard], spec: Spec, assets: Mapping[str, Asset], today: date, available: Available
) -> list[ModelCard]:
    """Returns the models that can make a spec which names a capability, the one to ask first in front.

    Those that take work now go before those that do not, those that stay before those that are deprecated, the cheaper
    before the dearer.

    Raises:
        InvalidSpec: there is none; says what is wrong with it for each that comes near.
    """
    near = [card for card in cards if card.remote is not None and card.remote.capability == spec.capability]
    near = [card for card in near if standing(card, today) is None]
    if not near:
        what = f"is {(spec.capability or '')[:80]!r}; ListModels tells what each model can do"
        raise InvalidSpec([Violation("spec.capability", what, "CAPABILITY_UNKNOWN")], reason="CAPABILITY_UNKNOWN")
    able: list[tuple[tuple[bool, bool, int, str], ModelCard]] = []
    wrong: list[Violation] = []
    for card in near:
        against = check(card, spec, assets)
        if not against:
            price = price_of(card, spec, assets)
            if spec.price_most_micros is None or price <= spec.price_most_micros:
                able.append(((not available(card.backend), _is_deprecated(card, today), price, card.id), card))
                continue
            what = f"is {show(spec.price_most_micros)}; {card.id!r} costs {show(price)}"
            against = [Violation("spec.price_max", what, "PRICE_ABOVE_MOST")]
        wrong += against
    if not able:
        raise InvalidSpec(wrong, reason=wrong[0].reason)
    return [card for _, card in sorted(able, key=lambda each: each[0])]


def _is_deprecated(card: ModelCard, today: date) -> bool:
    remote = card.remote
    return remote is not None and remote.deprecate_date is not None and remote.deprecate_date <= today


def check(card: ModelCard, spec: Spec, assets: Mapping[str, Asset]) -> list[Violation]:
    """Returns everything that is wrong with a spec and its assets for one model."""
    wrong = card.check(replace(spec, model=card.id))
    if not wrong and card.remote is not None:
        wrong = list(card.remote.check_assets(card.id, spec.operation, assets))
    return wrong


def price_of(card: ModelCard, spec: Spec, assets: Mapping[str, Asset]) -> int:
    """Returns what a spec would cost at one model, in micros."""
    return card.quote(card.fill(spec, assets, seed=None))
