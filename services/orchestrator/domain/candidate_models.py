"""Candidates: which models of a capability can make a spec, and in which order they are tried.

An order, not a promise: the first is tried, and another only if the one before has certainly taken no money.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from services.errors import InvalidSpec, Violation
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.price import show
from services.orchestrator.domain.spec import Spec
from services.reasons import SpecReason

Available = Callable[[str], bool]
"""Whether a backend takes work now."""
CheckedModel = tuple[ModelCard, list[Violation]]
"""A model, and everything that is wrong with a spec for it."""
BeyondPlan = Callable[[ModelCard], list[Violation]]
"""Returns what the plan does not allow about a model."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that can make a spec, with the video that it would make."""

    card: ModelCard
    spec: Spec
    """Completed for this model; without a seed if neither the caller nor we chose one."""
    price_micros: int

    @classmethod
    def of(cls, card: ModelCard, spec: Spec, assets: Mapping[str, Asset], seed: int | None = None) -> "Candidate":
        """Returns the candidate for a spec that was checked. `seed` is for a spec without one."""
        completed = replace(card.fill(spec, assets, seed=seed), model=card.id)
        return cls(card, completed, card.quote(completed))

    @property
    def timeout_ms(self) -> int:
        """How long the job may take with this model."""
        return self.spec.timeout_ms or self.card.default_timeout_ms


def retirement(card: ModelCard, today: date) -> Violation | None:
    """Returns the violation of choosing a retired model; None while the model takes work."""
    if card.remote is None or card.remote.retire_date is None or today < card.remote.retire_date:
        return None
    instead = f"; take {card.remote.successor!r}" if card.remote.successor else ""
    what = f"is {card.id!r}, which was retired on {card.remote.retire_date}{instead}"
    return Violation("spec.model", what, SpecReason.MODEL_RETIRED)


def check_models(
    cards: Iterable[ModelCard], spec: Spec, today: date, beyond: BeyondPlan = lambda card: []
) -> list[CheckedModel]:
    """Checks a spec, without its assets, for every model of its capability that is not retired.

    Raises:
        InvalidSpec: the capability has no such model, or none that can make the spec with any assets.
    """
    checked = models_of_capability(cards, spec, today, beyond)
    if all(violations for _, violations in checked):
        raise _none_can(checked)
    return checked


def models_of_capability(
    cards: Iterable[ModelCard], spec: Spec, today: date, beyond: BeyondPlan = lambda card: []
) -> list[CheckedModel]:
    """Returns every model of a spec's capability that is not retired. Raises InvalidSpec if there is none."""
    of_capability = [card for card in cards if card.remote is not None and card.remote.capability == spec.capability]
    current = [card for card in of_capability if retirement(card, today) is None]
    checked = [(card, [*card.check(spec), *beyond(card)]) for card in current]
    if not checked:
        what = f"is {(spec.capability or '')[:80]!r}; ListModels tells what each model can do"
        raise InvalidSpec(
            [Violation("spec.capability", what, SpecReason.CAPABILITY_UNKNOWN)], reason=SpecReason.CAPABILITY_UNKNOWN
        )
    return checked


def rank(
    checked: Iterable[CheckedModel],
    spec: Spec,
    assets: Mapping[str, Asset],
    today: date,
    available: Available,
    *,
    seed: int | None = None,
    beyond: Callable[[Candidate], list[Violation]] = lambda candidate: [],
) -> list[Candidate]:
    """Returns the models that can make a spec with these assets, the first choice first.

    `beyond` returns what the plan does not allow.

    Models of backends that take work now come first, then those that are not deprecated, then the cheaper ones.

    Raises:
        InvalidSpec: there is none; names the violations of each model.
    """
    able: list[tuple[tuple[bool, bool, int, str], Candidate]] = []
    refused: list[CheckedModel] = []
    for card, violations in checked:
        if wrong := violations or card.check_assets(spec, assets):
            refused.append((card, wrong))
            continue
        candidate = Candidate.of(card, spec, assets, seed)
        if spec.price_most_micros is not None and candidate.price_micros > spec.price_most_micros:
            what = f"is {show(spec.price_most_micros)}; {card.id!r} costs {show(candidate.price_micros)}"
            refused.append((card, [Violation("spec.price_max", what, SpecReason.PRICE_ABOVE_MOST)]))
            continue
        if wrong := beyond(candidate):
            refused.append((card, wrong))
            continue
        order = (not available(card.backend), _is_deprecated(card, today), candidate.price_micros, card.id)
        able.append((order, candidate))
    if not able:
        raise _none_can(refused)
    return [candidate for _, candidate in sorted(able, key=lambda each: each[0])]


def candidates(
    cards: Iterable[ModelCard], spec: Spec, assets: Mapping[str, Asset], today: date, available: Available
) -> list[Candidate]:
    """Returns the candidates among cards for a spec whose assets are known. Raises InvalidSpec if there is none."""
    return rank(check_models(cards, spec, today), spec, assets, today, available)


def _none_can(refused: Iterable[CheckedModel]) -> InvalidSpec:
    violations = list(dict.fromkeys(violation for _, wrong in refused for violation in wrong))
    return InvalidSpec(violations, reason=violations[0].reason)


def _is_deprecated(card: ModelCard, today: date) -> bool:
    remote = card.remote
    return remote is not None and remote.deprecate_date is not None and remote.deprecate_date <= today
