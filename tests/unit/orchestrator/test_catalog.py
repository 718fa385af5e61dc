"""What a model card allows, completes and prices."""

import asyncio
import hashlib
import json
import tomllib
from itertools import product
from pathlib import Path
from unittest.mock import Mock

import pytest
from i2v.v1 import catalog_pb2

from services.errors import InvalidSpec, NotFound
from services.orchestrator.api.catalog_service import CatalogService
from services.orchestrator.backends.served_profile import ServedProfile
from services.orchestrator.domain.card import EngineNeeds
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.domain.plan_parser import plans_of, unknown_names
from services.orchestrator.domain.spec import (
    FAST,
    QUALITY,
    Fit,
    ImageToVideo,
    Size,
    Spec,
    TextToVideo,
    from_json,
    to_json,
)
from services.orchestrator.domain.toml_file import tables_of
from services.orchestrator.ports.backend import AttemptFailed
from services.orchestrator.worker.availability import VendorAvailability
from tests.support.builders import a_card, a_catalog, a_spec
from tools.export import build, profile_file

CONFIG = Path("deploy/config")
IMAGE = "a" * 64


def test_a_valid_spec_is_accepted() -> None:
    assert a_card().check(a_spec()) == []
    assert a_card().check(a_spec(operation=ImageToVideo(IMAGE, "it moves"), size=Size(64, 32), seed=2**63 - 1)) == []


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        (a_spec(""), "spec.text_to_video.prompt", "PROMPT_EMPTY"),
        (a_spec("   "), "spec.text_to_video.prompt", "PROMPT_EMPTY"),
        (a_spec("x" * 101), "spec.text_to_video.prompt", "PROMPT_TOO_LONG"),
        (a_spec("a\x00b"), "spec.text_to_video.prompt", "PROMPT_MALFORMED"),
        (a_spec(operation=ImageToVideo("cat.png", "x")), "spec.image_to_video.image", "ASSET_NAME_MALFORMED"),
        (a_spec(operation=ImageToVideo("", "x")), "spec.image_to_video.image", "ASSET_NAME_MALFORMED"),
        (a_spec(duration_ms=1500), "spec.duration", "DURATION_UNSUPPORTED"),
        (a_spec(duration_ms=-1), "spec.duration", "DURATION_UNSUPPORTED"),
        (a_spec(size=Size(32, 32)), "spec.size", "SIZE_UNSUPPORTED"),
        (a_spec(quality=FAST), "spec.quality", "QUALITY_UNSUPPORTED"),
        (a_spec(seed=-1), "spec.seed", "SEED_OUT_OF_RANGE"),
        (a_spec(seed=2**63), "spec.seed", "SEED_OUT_OF_RANGE"),
        (a_spec(timeout_ms=999), "spec.timeout", "TIMEOUT_OUT_OF_RANGE"),
        (a_spec(timeout_ms=86_400_001), "spec.timeout", "TIMEOUT_OUT_OF_RANGE"),
    ],
)
def test_a_value_beyond_the_card_is_named(spec: Spec, field: str, reason: str) -> None:
    assert [(wrong.field, wrong.reason) for wrong in a_card().check(spec)] == [(field, reason)]


def test_all_problems_of_a_spec_are_named_together() -> None:
    wrong = a_card().check(a_spec("", duration_ms=7, size=Size(1, 1), seed=-1))
    assert len(wrong) == 4


def test_a_prompt_is_also_measured_in_bytes() -> None:
    card = a_card(prompt_max_bytes=10)
    assert [wrong.reason for wrong in card.check(a_spec("äöüäöü"))] == ["PROMPT_TOO_LONG"]
    assert card.check(a_spec("äöüäö")) == []


def test_an_operation_that_the_model_does_not_support_is_refused() -> None:
    card = a_card(operations=("image-to-video",))
    assert [wrong.reason for wrong in card.check(a_spec())] == ["OPERATION_UNSUPPORTED"]


def test_an_unknown_model_is_refused_with_the_list_of_models() -> None:
    with pytest.raises(InvalidSpec, match="'sora'; there are test-model"):
        a_catalog().card_for(a_spec(model="sora"))
    with pytest.raises(NotFound):
        a_catalog().card("sora")


@pytest.mark.parametrize(
    ("width", "height", "size"), [(300, 200, Size(64, 32)), (200, 300, Size(32, 64)), (100, 100, Size(64, 32))]
)
def test_the_size_follows_the_shape_of_the_picture(width: int, height: int, size: Size) -> None:
    spec = a_card().complete(a_spec(), seed=1, picture=PictureInfo("image/png", width, height))
    assert spec.size == size


def test_defaults_are_filled_in_and_requested_values_stay() -> None:
    card = a_card()
    assert card.complete(a_spec(), seed=5, picture=None) == Spec(
        "test-model", TextToVideo("a wave"), 1000, Size(64, 32), 5, 60_000, QUALITY
    )
    asked = Spec("test-model", TextToVideo("x"), 2000, Size(32, 64), 0, 5000, FAST)
    assert card.complete(asked, seed=None, picture=None) == asked
    assert (card.quote(asked), card.frames(asked)) == (2000, 16)


@pytest.mark.parametrize(
    "spec", [a_spec(), Spec("m", ImageToVideo(IMAGE, "x", Fit.PAD), 2000, Size(32, 64), 2**63 - 1, 5000, FAST)]
)
def test_a_spec_is_unchanged_after_json(spec: Spec) -> None:
    assert from_json(to_json(spec)) == spec


def test_a_spec_older_than_quality_loads_with_its_fingerprint() -> None:
    stored = to_json(a_spec())
    del stored["quality"]
    assert from_json(stored).quality == QUALITY
    before = hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()
    assert a_spec().fingerprint() == before


def test_a_fingerprint_distinguishes_specs() -> None:
    specs = [a_spec(), a_spec("b"), a_spec(seed=0), a_spec(seed=1), a_spec(operation=ImageToVideo(IMAGE, "a wave"))]
    assert len({spec.fingerprint() for spec in specs}) == len(specs)
    assert a_spec().fingerprint() == a_spec().fingerprint()


def test_a_quality_of_the_card_is_accepted_and_its_first_is_the_default() -> None:
    card = a_card(qualities=(FAST, QUALITY))
    assert card.check(a_spec(quality=QUALITY)) == []
    assert card.complete(a_spec(), seed=1, picture=None).quality == FAST


def test_operations_can_have_lengths_of_their_own() -> None:
    card = a_card(durations_ms_by_operation={"image-to-video": (4500, 3000)})
    picture = ImageToVideo(IMAGE, "it moves")
    assert card.check(a_spec(operation=picture, duration_ms=4500)) == []
    assert card.complete(a_spec(operation=picture), seed=1, picture=None).duration_ms == 4500
    assert card.complete(a_spec(), seed=1, picture=None).duration_ms == 1000
    (wrong,) = card.check(a_spec(operation=picture, duration_ms=1000))
    assert (wrong.reason, wrong.description) == (
        "DURATION_UNSUPPORTED",
        "is 1 s; 'test-model' makes 3 s, 4.5 s for image-to-video",
    )


@pytest.mark.parametrize(("ms", "frames"), [(4500, 73), (750, 13), (5000, 81)])
def test_frames_are_exact_for_parts_of_a_second(ms: int, frames: int) -> None:
    assert a_card(fps=16, extra_frames=1).frames(a_spec(duration_ms=ms)) == frames


def nano(**changes: object) -> Catalog:
    parsed = tomllib.loads((CONFIG / "models.toml").read_text())
    return Catalog.from_toml({"models": {"nano": parsed["models"]["nano"] | changes}})


def test_a_local_card_states_what_it_needs_of_its_engine() -> None:
    shipped = nano().card("nano").engine
    assert shipped is not None
    assert (shipped.profile, shipped.steps, shipped.precision, shipped.experimental) == ("nano", 4, "fp32", False)
    assert 10**8 < (shipped.memory_bytes or 0) < 10**10
    stated = {"profile": "big", "steps": 4, "precision": "bf16", "memory_bytes": 10**10, "experimental": True}
    assert nano(backend="triton-14b", **stated).card("nano").engine == EngineNeeds("big", 4, "bf16", 10**10, True)
    with pytest.raises(ValueError, match="is no Triton"):
        nano(backend="fake")


def test_every_shipped_card_and_plan_is_well_formed() -> None:
    catalog = Catalog.from_toml(tomllib.loads((CONFIG / "models.toml").read_text()))
    for card in catalog:
        operations = {"text-to-video": TextToVideo("x"), "image-to-video": ImageToVideo(IMAGE, "x")}
        for kind in card.operations:
            for duration, size in product(card.durations(kind), card.sizes):
                for quality in card.qualities:
                    spec = Spec(card.id, operations[kind], duration, size, quality=quality)
                    assert card.check(spec) == []
                    assert card.frames(spec) % 4 == 1
    plans = plans_of(tables_of((CONFIG / "plans.toml").read_text()))
    assert {"free", "basic", "pro", "enterprise", "standard", "development"} == set(plans)
    assert unknown_names(plans, catalog) == []


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("display_name", ["", 3]),
        ("description", [" ", None]),
        ("backend", ["", 3]),
        ("operations", [[], ["dance"], ["image-to-video", "image-to-video"], "image-to-video", [3], [["x"]]]),
        ("sizes", [[], "64x32", ["0x0"], ["-16x16"], ["8192x8192"], ["65x32"], ["64x33"], ["64x32", "64x32"]]),
        ("sizes", [["64"], ["64x32x3"], ["064x32"], ["64×32"], [64], [" 64x32"], ["8x8"], [["64x32"]]]),
        ("durations_s", [[], 1, [0], [-1], [1, 1], [1, 1.0], [True], ["1"], [float("nan")], [float("inf")], [3601]]),
        ("durations_s", [[1.0001], [0.0004], [10**400]]),
        ("durations_s_by_operation", [{"image-to-video": []}, {"image-to-video": [0]}, {"scene-animation": [1]}, [1]]),
        ("qualities", [[], ["best"], ["fast", "fast"], "fast", [3]]),
        ("fps", [0, -16, 121, 16.0, "16", True]),
        ("extra_frames", [-1, 0.5, "1", True, 2**31]),
        ("prompt_max_characters", [0, -1, "many", 2**31, True]),
        ("prompt_max_bytes", [0, "many", 2**31]),
        ("price_per_second_micros", [-1, 0.5, "much", 2**63, True]),
        ("default_timeout_s", [0, -1, 86_401, 0.5, "600", True]),
        ("profile", ["", 3]),
        ("steps", ["four", 0, 10**12, 2**31, True, 4.0]),
        ("precision", ["", 16]),
        ("memory_bytes", ["a lot", 0, -1, 2**63, True, 1e9]),
        ("experimental", ["no", 0]),
    ],
)
def test_a_malformed_value_is_refused_with_the_card_and_the_key(key: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"^the card 'nano' has {key} = .*; it is (a|true) "):
            nano(**{key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quality": ["fast"]}, "'nano' has the key 'quality'; there are .*qualities"),
        ({"durations_s": [1.3]}, "'nano' has a length of 1.3 s, which is no whole number of frames"),
        ({"durations_s_by_operation": {"image-to-video": [0.3]}}, "'nano' has a length of 0.3 s"),
        (
            {"operations": ["text-to-video"], "durations_s_by_operation": {"image-to-video": [1]}},
            "'nano' has durations_s_by_operation for 'image-to-video', which is none of its operations",
        ),
        ({"backend": "fake", "steps": 4}, "'nano' states .*, but its backend is no Triton"),
    ],
)
def test_values_that_contradict_each_other_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nano(**change)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"a/b": {}}, "'a/b' needs another name"),
        ({"nano": 3}, "'nano' is no table"),
        ({"nano": {}}, "'nano' lacks 'display_name'; it is a text"),
        ([], "a table for each card"),
    ],
)
def test_a_file_without_cards_is_refused(models: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Catalog.from_toml({"models": models})
    with pytest.raises(ValueError, match="no table 'model'"):
        Catalog.from_toml({"models": {}, "model": {}})


def test_optional_keys_may_be_absent_and_the_largest_card_can_be_listed() -> None:
    table = tomllib.loads(Path("tests/golden/models.toml").read_text())["models"]["test-model"]
    assert Catalog.from_toml({"models": {"x": table}}).card("x").engine is None
    wide = {
        "sizes": ["4096x4096", "16x16"],
        "durations_s": [3600, 0.125],
        "fps": 120,
        "extra_frames": 100,
        "prompt_max_characters": 2**31 - 1,
        "prompt_max_bytes": 2**31 - 1,
        "price_per_second_micros": (2**63 - 1) // 3_600_000,
        "default_timeout_s": 86_400,
        "steps": 2**31 - 1,
        "memory_bytes": 2**63 - 1,
        "experimental": True,
    }
    catalog = nano(**wide)
    answer = asyncio.run(
        CatalogService(lambda: catalog, VendorAvailability({}), lambda _: False).ListModels(
            catalog_pb2.ListModelsRequest(), Mock()
        )
    )
    assert [(model.name, model.engine.memory_bytes) for model in answer.models] == [("models/nano", 2**63 - 1)]
    assert catalog.card("nano").quote(a_spec(duration_ms=3_600_000)) < 2**63


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": 8}, "the model 'nano' says fps = 16; the profile has 8"),
        ({"steps": 2}, "the model 'nano' says steps = 4; the profile has 2"),
        ({"precision": "bf16"}, "the model 'nano' says precision = fp32; the profile has bf16"),
    ],
)
def test_a_card_is_compared_with_the_served_profile(change: dict[str, object], message: str) -> None:
    served = build.served(profile_file.load("nano")) | {"digest": "of no files"}
    with pytest.raises(AttemptFailed, match=message) as failed:
        ServedProfile.parse(json.dumps(served | change)).check(nano().card("nano"))
    assert failed.value.error.reason == "PROFILE_MISMATCH"
    older = {key: value for key, value in served.items() if key not in change}
    ServedProfile.parse(json.dumps(older)).check(nano().card("nano"))


def test_a_value_that_a_card_does_not_state_is_not_compared() -> None:
    table = tomllib.loads((CONFIG / "models.toml").read_text())["models"]["nano"]
    terse = {key: value for key, value in table.items() if key not in ("steps", "precision", "memory_bytes")}
    served = build.served(profile_file.load("nano")) | {"digest": "of no files", "steps": 7, "precision": "bf16"}
    ServedProfile.parse(json.dumps(served)).check(Catalog.from_toml({"models": {"nano": terse}}).card("nano"))
