"""The shipped cards: each matches its profile, and the catalog accepts it."""

import json
import tomllib
from pathlib import Path

import pytest

from services.orchestrator.backends.served_profile import ServedProfile
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.spec import ImageToVideo, Size, Spec, TextToVideo
from tools.export import build, profile_card, profile_file
from tools.export.memory_plan import memory_plan

CONFIG = Path("deploy/config")


def file_of(name: str) -> Path:
    return CONFIG / "models.toml" if name == "nano" else CONFIG / "cards" / f"{name}.toml"


def test_every_profile_has_a_card_and_there_are_no_others() -> None:
    assert {file.stem for file in (CONFIG / "cards").iterdir()} | {"nano"} == set(profile_file.known())


@pytest.mark.parametrize("name", profile_file.known())
def test_a_card_is_what_its_profile_says(name: str) -> None:
    chosen = profile_file.load(name)
    wanted = tomllib.loads("\n".join(profile_card.toml(chosen, memory_plan(chosen))))
    shipped = tomllib.loads(file_of(name).read_text())
    assert shipped == wanted, f"python -m tools.export --profile {name} --card"


@pytest.mark.parametrize("name", profile_file.known())
def test_the_catalog_accepts_every_card_and_its_offers(name: str) -> None:
    model = Catalog.from_toml(tomllib.loads(file_of(name).read_text())).card(name)
    chosen = profile_file.load(name)
    operations = {"image-to-video": ImageToVideo("0" * 64, "a wave"), "text-to-video": TextToVideo("a wave")}
    for operation in chosen.card.operations:
        for seconds in chosen.card.durations_s_by_operation.get(operation, chosen.card.durations_s):
            for size in chosen.card.sizes:
                width, height = (int(side) for side in size.split("x"))
                spec = Spec(name, operations[operation], duration_ms=round(1000 * seconds), size=Size(width, height))
                assert model.check(spec) == []
                assert model.frames(model.complete(spec, seed=1, picture=None)) == round(16 * seconds) + 1


@pytest.mark.parametrize("name", profile_file.known())
def test_a_profile_can_make_everything_that_its_card_offers(name: str) -> None:
    """As a worker compares the two, from the server's description of its profile."""
    answer = build.served(profile_file.load(name)) | {"digest": "of no files"}
    ServedProfile.parse(json.dumps(answer)).check(
        Catalog.from_toml(tomllib.loads(file_of(name).read_text())).card(name)
    )


def test_a_length_that_self_forcing_cannot_make_of_a_picture_is_refused_beforehand() -> None:
    model = Catalog.from_toml(tomllib.loads(file_of("self-forcing-1.3b").read_text())).card("self-forcing-1.3b")
    (wrong,) = model.check(Spec(model.id, ImageToVideo("0" * 64, "a wave"), duration_ms=5000))
    assert (wrong.field, wrong.reason) == ("spec.duration", "DURATION_UNSUPPORTED")
    assert "4.5 s" in wrong.description
