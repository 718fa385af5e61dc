"""Routing: which model makes a spec, and the most that the job can cost and take."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from services.errors import InvalidSpec, NotFound, Unavailable, Violation
from services.orchestrator.domain.allow_lists import beyond_plan
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.candidate_models import Available, Candidate, check_models, rank, retirement
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo
from services.orchestrator.domain.price_lines import card_version, prices_version
from services.orchestrator.domain.spec import Spec
from services.orchestrator.ports.assets import Assets
from services.reasons import RequestReason, SpecReason

Drained = Callable[[str], bool]
"""Whether operators have drained a backend."""
DRAINED_RETRY_S = 60.0
"""Seconds after which a caller may try a drained backend again."""


def no_drains(_: str) -> bool:
    """No backend is drained."""
    return False


@dataclass(frozen=True, slots=True)
class Routing:
    """The model that is tried first, and limits that hold for every model that may be tried after it."""

    card: ModelCard
    spec: Spec
    """Completed for the first model; its timeout is long enough for the slowest."""
    timeout_ms: int
    """The same timeout."""
    price_micros: int
    """Of the video by the first model."""
    quote_micros: int
    """The price of the dearest model, and the allowance for the writing of a prompt."""
    cards: tuple[ModelCard, ...]
    """Every model that can make it. The prices of all decide the quote, so an exhausted one does not change it."""

    @property
    def capability(self) -> str:
        """The capability of the models; empty: none."""
        return self.card.remote.capability if self.card.remote is not None else ""

    @property
    def card_version(self) -> str:
        """The version of the first model's prices."""
        return card_version(self.card)

    @property
    def prices_version(self) -> str:
        """The version of all prices on which the quote rests."""
        return prices_version(self.cards)


async def route(
    spec: Spec,
    caller: Caller,
    *,
    catalog: Catalog,
    assets: Assets,
    today: date,
    available: Available,
    drained: Drained = no_drains,
    seed: int | None = None,
    exhausted: Collection[str] = (),
) -> Routing:
    """Checks a spec and chooses its model.

    `seed` is for a spec without one. `exhausted` models of a capability are not tried. Raises InvalidSpec, NotFound;
    Unavailable if the backends of all models that could be tried are drained.
    """
    if spec.capability is None:
        able = tried = [await _named_model(spec, caller, catalog, assets, today, seed)]
    else:
        able = await _models_of_capability(spec, caller, catalog, assets, today, available, seed)
        tried = [candidate for candidate in able if candidate.card.id not in exhausted]
    tried = _undrained(tried, spec, drained)
    # The deadline does not move when another model is tried: it has room for the slowest, not for one after another.
    timeout_ms = max(candidate.timeout_ms for candidate in able)
    completed = replace(tried[0].spec, timeout_ms=timeout_ms)
    if spec.capability is not None:
        completed = replace(completed, models=tuple(candidate.card.id for candidate in tried))
    dearest = max(candidate.price_micros for candidate in able)
    return Routing(
        tried[0].card,
        completed,
        timeout_ms,
        tried[0].price_micros,
        dearest + catalog.allowance(completed),
        tuple(candidate.card for candidate in able),
    )


async def _named_model(
    spec: Spec, caller: Caller, catalog: Catalog, assets: Assets, today: date, seed: int | None
) -> Candidate:
    card = catalog.card_for(spec)
    retired = retirement(card, today)
    wrong = [*card.check(spec), *catalog.unwritable(spec), *needless_price_limit(spec)]
    _refuse_if([*([retired] if retired else []), *wrong, *beyond_plan(caller.plan, card, spec)])
    found = await _find_assets(spec, caller, assets)
    _refuse_if(card.check_assets(spec, found))
    candidate = Candidate.of(card, spec, found, seed)
    _refuse_if(candidate_beyond_plan(caller, catalog, candidate))
    return candidate


async def _models_of_capability(
    spec: Spec, caller: Caller, catalog: Catalog, assets: Assets, today: date, available: Available, seed: int | None
) -> list[Candidate]:
    _refuse_if(model_and_capability(spec))
    _refuse_if(catalog.unwritable(spec))
    # Before the assets are looked up: most errors need none.
    checked = check_models(catalog, spec, today, lambda card: beyond_plan(caller.plan, card, spec))
    found = await _find_assets(spec, caller, assets)
    beyond = partial(candidate_beyond_plan, caller, catalog)
    return rank(checked, spec, found, today, available, seed=seed, beyond=beyond)


def candidate_beyond_plan(caller: Caller, catalog: Catalog, candidate: Candidate) -> list[Violation]:
    """Returns everything about the video of a candidate that the caller's plan does not allow."""
    price_micros = candidate.price_micros + catalog.allowance(candidate.spec)
    return beyond_plan(caller.plan, candidate.card, candidate.spec, price_micros)


def _undrained(able: list[Candidate], spec: Spec, drained: Drained) -> list[Candidate]:
    """Returns the candidates whose backends are not drained. Raises Unavailable if there are none."""
    working = [candidate for candidate in able if not drained(candidate.card.backend)]
    if not working:
        what = f"Operators have stopped the workers of {able[0].card.id!r} for maintenance. Try again later"
        field = "spec.model" if spec.capability is None else "spec.capability"
        raise Unavailable(
            f"{what}, or take another model; nothing was charged.",
            reason=RequestReason.BACKEND_DRAINED,
            retry_after_s=DRAINED_RETRY_S,
            metadata={"model": able[0].card.id, "field": field},
        )
    return working


def _refuse_if(violations: list[Violation]) -> None:
    if violations:
        raise InvalidSpec(violations, reason=violations[0].reason)


def model_and_capability(spec: Spec) -> list[Violation]:
    """Returns the violation of a spec that names both; empty otherwise."""
    if not spec.model or spec.capability is None:
        return []
    what = "comes together with a model; give one of them"
    return [Violation("spec.capability", what, SpecReason.MODEL_AND_CAPABILITY)]


def needless_price_limit(spec: Spec) -> list[Violation]:
    """Returns the violation of a highest price without a capability; empty otherwise."""
    if spec.price_most_micros is None or spec.capability is not None:
        return []
    what = "goes with a capability; a model has its price, and PreviewJob tells it"
    return [Violation("spec.price_max", what, SpecReason.PARAMETER_UNSUPPORTED)]


async def _find_assets(spec: Spec, caller: Caller, assets: Assets) -> Mapping[str, Asset]:
    """Returns a spec's assets by role. Raises NotFound, and InvalidSpec where one is of another kind."""
    found: dict[str, Asset] = {}
    violations: list[Violation] = []
    parent = "spec." + spec.operation.kind.replace("-", "_")
    for role, sha256 in spec.operation.assets.items():
        field = f"{parent}.{role}"
        try:
            found[role] = await assets.get(sha256, tenant=caller.tenant, user=caller.user)
        except NotFound as error:
            raise NotFound("sound" if role == "audio" else "picture", f"assets/{sha256}", field=field) from error
        violations += wrong_kind(field, found[role], role)
    _refuse_if(violations)
    return found


def wrong_kind(field: str, asset: Asset, role: str) -> list[Violation]:
    """Returns the violation of an asset that is not what its role needs; empty otherwise."""
    wanted = AudioInfo if role == "audio" else PictureInfo
    if isinstance(asset.info, wanted):
        return []
    if wanted is PictureInfo:
        what = f"is {asset.info.media_type}; give a picture"
        return [Violation(field, what, SpecReason.ASSET_NOT_A_PICTURE)]
    return [Violation(field, f"is {asset.info.media_type}; give a sound", SpecReason.ASSET_NOT_A_SOUND)]
