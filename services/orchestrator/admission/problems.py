"""All problems of a spec together, for a preview. An admission stops where the rest cannot help any more."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import partial

from services.errors import InvalidSpec, NotFound, Violation
from services.orchestrator.admission.model_routing import (
    candidate_beyond_plan,
    model_and_capability,
    needless_price_limit,
    wrong_kind,
)
from services.orchestrator.domain.allow_lists import beyond_plan
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.candidate_models import models_of_capability, rank, retirement
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.remote import check_scene
from services.orchestrator.domain.spec import Spec
from services.orchestrator.ports.assets import Assets
from services.reasons import RequestReason

PROBLEMS_MOST = 50
"""A capability has the problems of each of its models."""


async def problems(spec: Spec, caller: Caller, *, catalog: Catalog, assets: Assets, today: date) -> list[Violation]:
    """Returns everything that is wrong with a spec and its assets, each once, at most 50. Raises Unavailable."""
    found, of_assets = await _look_up(spec, caller, assets)
    wrong = [*model_and_capability(spec), *needless_price_limit(spec), *catalog.unwritable(spec)]
    try:
        if spec.capability is None:
            wrong += _of_model(spec, caller, found, catalog, today)
        else:
            wrong += _of_capability(spec, caller, found, catalog, today)
    except InvalidSpec as error:  # there is no such model
        wrong += [*error.violations, *check_scene(spec)]
    return list(dict.fromkeys([*wrong, *of_assets]))[:PROBLEMS_MOST]


def _of_model(spec: Spec, caller: Caller, found: Mapping[str, Asset], catalog: Catalog, today: date) -> list[Violation]:
    card = catalog.card_for(spec)
    retired = retirement(card, today)
    of_card = [*card.check(spec), *card.check_assets(spec, found)]
    return [*([retired] if retired else []), *of_card, *beyond_plan(caller.plan, card, spec)]


def _of_capability(
    spec: Spec, caller: Caller, found: Mapping[str, Asset], catalog: Catalog, today: date
) -> list[Violation]:
    """Returns the problems of every model; none if a model can make the spec."""
    checked = [
        (card, [*violations, *card.check_assets(spec, found)])
        for card, violations in models_of_capability(
            catalog, replace(spec, model=""), today, lambda card: beyond_plan(caller.plan, card, spec)
        )
    ]
    able = [(card, violations) for card, violations in checked if not violations]
    if not able:
        return [violation for _, violations in checked for violation in violations]
    if set(spec.operation.assets) <= set(found):  # else the price is not known
        try:
            rank(able, spec, found, today, lambda _: True, beyond=partial(candidate_beyond_plan, caller, catalog))
        except InvalidSpec as error:
            return list(error.violations)
    return []


async def _look_up(spec: Spec, caller: Caller, assets: Assets) -> tuple[dict[str, Asset], list[Violation]]:
    """Returns a spec's assets by role, and what is wrong with the others. The card checks malformed names."""
    found: dict[str, Asset] = {}
    wrong: list[Violation] = []
    parent = "spec." + spec.operation.kind.replace("-", "_")
    for role, sha256 in spec.operation.assets.items():
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            continue
        field = f"{parent}.{role}"
        try:
            found[role] = await assets.get(sha256, tenant=caller.tenant, user=caller.user)
        except NotFound:
            what = "is no asset of this user; upload the file"
            wrong.append(Violation(field, what, RequestReason.NOT_FOUND))
        else:
            wrong += wrong_kind(field, found[role], role)
    return found, wrong
