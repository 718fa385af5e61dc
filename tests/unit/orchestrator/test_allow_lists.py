"""A job beyond its plan is refused by field; a capability uses the models that the plan allows, also later."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.errors import InvalidSpec
from services.orchestrator.admission.model_routing import Routing, route
from services.orchestrator.admission.preview import RequestedSpec
from services.orchestrator.attempt.fallback_model import FallbackModels
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.event import JobError
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.remote import Remote, Tariff
from services.orchestrator.domain.spec import Scene, SceneAnimation, Size, Spec, TextToVideo, from_json, to_json
from services.reasons import VendorReason
from tests.support.admission_ports import AdmissionPorts
from tests.support.builders import NOON, FakeClock, a_card, a_catalog, a_job, a_spec

TODAY = date(2026, 11, 29)
ERROR = JobError(VendorReason.VENDOR_DOWN, "Down.", retryable=True)


class OnePicture:
    async def get(self, sha256: str, *, tenant: str, user: str, also_hidden: bool = False) -> Asset:
        return Asset(tenant, user, sha256, 1000, PictureInfo("image/png", 640, 480), NOON)


class NoAssets:
    async def get(self, sha256: str, *, tenant: str, user: str, also_hidden: bool = False) -> Asset:
        raise AssertionError("no asset is looked up")


def a_remote_card(name: str, price: int = 1000, resolutions: tuple[str, ...] = ("720p", "480p")) -> ModelCard:
    prices = {resolution: Tariff(per_second_micros=price) for resolution in resolutions or ("any",)}
    remote = Remote(name, "wan-2.5", prices, TODAY, resolutions=resolutions)
    return a_card(id=name, backend=name, sizes=(), fps=0, remote=remote)


REMOTE = [a_remote_card("one", 1000), a_remote_card("two", 2000), a_remote_card("three", 3000)]
CAPABLE = Spec("", TextToVideo("a wave"), capability="wan-2.5")


def a_plan(**lists: Any) -> Plan:
    names = {key: frozenset(value) if isinstance(value, list) else value for key, value in lists.items()}
    return Plan("small", **names)


async def routed(spec: Spec, plan: Plan, catalog: Catalog | None = None) -> Routing:
    catalog = catalog or a_catalog(a_card(), *REMOTE)
    caller = Caller("studio", "ann", plan)
    return await route(spec, caller, catalog=catalog, assets=NoAssets(), today=TODAY, available=lambda _: True, seed=7)


async def violations(spec: Spec, plan: Plan, catalog: Catalog | None = None) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidSpec) as refused:
        await routed(spec, plan, catalog)
    assert refused.value.reason == refused.value.violations[0].reason
    return [(each.field, each.reason, each.description) for each in refused.value.violations]


async def test_a_plan_without_lists_allows_everything() -> None:
    for spec in (a_spec(), replace(a_spec(), model="one", resolution="480p"), CAPABLE):
        assert (await routed(spec, a_plan())).spec.operation == spec.operation


@pytest.mark.parametrize(
    ("spec", "lists", "field", "reason", "what"),
    [
        (
            a_spec(),
            {"models": ["one", "two"]},
            "spec.model",
            "MODEL_NOT_IN_PLAN",
            "is 'test-model'; the plan 'small' allows one, two",
        ),
        (
            a_spec(),
            {"operations": ["image-to-video"]},
            "spec.text_to_video",
            "OPERATION_NOT_IN_PLAN",
            "is not in the plan 'small', which allows image-to-video",
        ),
        (
            a_spec(size=Size(32, 64)),
            {"resolutions": ["64x32", "480p"]},
            "spec.size",
            "RESOLUTION_NOT_IN_PLAN",
            "is 32x64; the plan 'small' allows 480p, 64x32",
        ),
        (
            a_spec(model="one", resolution="720p"),
            {"resolutions": ["480p"]},
            "spec.resolution",
            "RESOLUTION_NOT_IN_PLAN",
            "is 720p; the plan 'small' allows 480p",
        ),
        (
            a_spec(duration_ms=2000),
            {"price_most_micros": 1999},
            "spec",
            "PRICE_NOT_IN_PLAN",
            "costs 0.002000 USD with 'test-model'; the plan 'small' allows 0.001999 USD for one job",
        ),
    ],
)
async def test_a_value_beyond_the_plan_is_named_with_the_allowed_ones(
    spec: Spec, lists: dict[str, Any], field: str, reason: str, what: str
) -> None:
    assert await violations(spec, a_plan(**lists)) == [(field, reason, what)]


async def test_a_value_at_the_limit_is_accepted() -> None:
    plan = a_plan(models=["test-model"], operations=["text-to-video"], resolutions=["64x32"], price_most_micros=2000)
    assert (await routed(a_spec(duration_ms=2000), plan)).price_micros == 2000


async def test_the_default_counts_where_nothing_was_requested() -> None:
    plan = a_plan(resolutions=["480p", "32x64"])
    assert [each[:2] for each in await violations(a_spec(), plan)] == [("spec.size", "RESOLUTION_NOT_IN_PLAN")]
    found = await violations(a_spec(model="one"), plan)
    assert [each[:2] for each in found] == [("spec.resolution", "RESOLUTION_NOT_IN_PLAN")]
    assert (await routed(a_spec(model="one", resolution="480p"), plan)).spec.resolution == "480p"


async def test_a_model_whose_vendor_decides_the_resolution_is_not_restricted() -> None:
    catalog = a_catalog(a_remote_card("one", resolutions=()))
    assert (await routed(a_spec(model="one"), a_plan(resolutions=["480p"]), catalog)).card.id == "one"


async def test_all_problems_are_named_together() -> None:
    plan = a_plan(models=["one"], operations=["image-to-video"], resolutions=["480p"])
    spec = a_spec("", size=Size(64, 32), seed=-1)
    assert [reason for _, reason, _ in await violations(spec, plan)] == [
        "PROMPT_EMPTY",
        "SEED_OUT_OF_RANGE",
        "MODEL_NOT_IN_PLAN",
        "OPERATION_NOT_IN_PLAN",
        "RESOLUTION_NOT_IN_PLAN",
    ]


async def test_the_price_of_a_job_includes_its_written_prompt() -> None:
    card = replace(a_remote_card("one", 1000), operations=("scene-animation",))
    catalog = Catalog({"one": card}, prompt_most_micros=500)
    spec = Spec("one", SceneAnimation("a" * 64, Scene("a wave")), resolution="480p")

    async def quote(most: int) -> int:
        caller = Caller("studio", "ann", a_plan(price_most_micros=most))
        found = await route(
            spec, caller, catalog=catalog, assets=OnePicture(), today=TODAY, available=lambda _: True, seed=7
        )
        return found.quote_micros

    assert await quote(1500) == 1500
    with pytest.raises(InvalidSpec, match=r"costs 0\.001500 USD"):
        await quote(1499)


async def test_a_capability_leaves_out_what_the_plan_does_not_allow() -> None:
    found = await routed(CAPABLE, a_plan(models=["two", "three"]))
    assert (found.card.id, found.spec.models, found.quote_micros) == ("two", ("two", "three"), 3000)
    found = await routed(CAPABLE, a_plan(price_most_micros=2000))
    assert (found.card.id, found.spec.models, found.quote_micros) == ("one", ("one", "two"), 2000)
    assert (await routed(a_spec(), a_plan())).spec.models is None


async def test_a_capability_is_refused_when_no_model_is_left() -> None:
    found = await violations(CAPABLE, a_plan(models=["test-model"]))
    assert [each[:2] for each in found] == [("spec.capability", "MODEL_NOT_IN_PLAN")] * 3
    assert found[0][2] == "is made by 'one'; the plan 'small' allows test-model"
    found = await violations(CAPABLE, a_plan(resolutions=["480p"]))
    assert [each[:2] for each in found] == [("spec.resolution", "RESOLUTION_NOT_IN_PLAN")]
    found = await violations(CAPABLE, a_plan(price_most_micros=999))
    assert [each[:2] for each in found] == [("spec", "PRICE_NOT_IN_PLAN")] * 3


@pytest.mark.parametrize(
    ("spec", "lists"),
    [
        (a_spec(), {"models": ["one"], "operations": ["image-to-video"]}),
        (a_spec(), {"resolutions": ["480p"]}),
        (a_spec(duration_ms=2000), {"price_most_micros": 1999}),
        (CAPABLE, {"models": ["test-model"]}),
        (CAPABLE, {"resolutions": ["1080p"]}),
        (CAPABLE, {"price_most_micros": 999}),
    ],
)
async def test_a_preview_names_what_the_admission_refuses(spec: Spec, lists: dict[str, Any]) -> None:
    plan, ports = a_plan(**lists), AdmissionPorts(a_catalog(a_card(), *REMOTE))
    found = await ports.previewer.preview(RequestedSpec(spec), Caller("studio", "ann", plan))
    assert found.quoted is None and not found.admissible
    refused = [(each.field, each.reason, each.description) for each in found.problems]
    assert refused == await violations(spec, plan)


async def test_a_preview_names_problems_of_the_plan_and_others() -> None:
    ports = AdmissionPorts(a_catalog(a_card(), *REMOTE))
    plan = a_plan(models=["one"], resolutions=["32x64"])
    spec = a_spec("", size=Size(64, 32))
    found = await ports.previewer.preview(RequestedSpec(spec), Caller("studio", "ann", plan))
    reasons = [each.reason for each in found.problems]
    assert reasons == ["PROMPT_EMPTY", "MODEL_NOT_IN_PLAN", "RESOLUTION_NOT_IN_PLAN"]


async def test_a_long_list_is_shortened() -> None:
    [(_, _, what)] = await violations(a_spec(), a_plan(models=[f"m{n:02}" for n in range(30)]))
    assert what.endswith("m18, m19 and 10 more")


async def fallback(spec: Spec, cards: list[ModelCard]) -> str | None:
    finder = FallbackModels(NoAssets(), lambda: a_catalog(*cards), FakeClock(), lambda _: True)  # type: ignore[arg-type]
    found = await finder.find(a_job(spec=spec, quote_micros=9000, price_micros=1000), ERROR)
    return found.model if found is not None else None


async def test_only_models_that_the_plan_allowed_at_admission_take_over_a_job() -> None:
    spec = (await routed(CAPABLE, a_plan(models=["one", "three"]))).spec
    assert await fallback(spec, REMOTE) == "three"
    spec = (await routed(CAPABLE, a_plan(models=["one"]))).spec
    assert await fallback(spec, REMOTE) is None
    spec = (await routed(CAPABLE, a_plan())).spec
    assert await fallback(spec, REMOTE) == "two"
    assert await fallback(spec, [*REMOTE, a_remote_card("newer", 1500)]) == "two", "the job was not quoted for it"


async def test_a_job_that_was_admitted_before_models_were_stored_may_use_any() -> None:
    stored = json.loads(json.dumps(to_json((await routed(CAPABLE, a_plan())).spec)))
    assert from_json(stored).models == ("one", "two", "three")
    del stored["models"]
    assert await fallback(from_json(stored), REMOTE) == "two"


def test_the_fingerprint_of_a_request_has_not_changed() -> None:
    assert "models" not in to_json(CAPABLE)
