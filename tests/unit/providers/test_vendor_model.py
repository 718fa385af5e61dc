"""What each vendor's models accept: every limit, at it and one past it."""

from typing import Any

import pytest

from services.providers.task import Input, Role, Task
from services.providers.vendors.fal import MODELS as FAL
from services.providers.vendors.wavespeed_model_limits import MODELS as WAVESPEED

PNG = Input("image/png", 1)
MP3 = Input("audio/mpeg", 1)
MINIMAL: dict[str, dict[str, Any]] = {
    "wan-2.5": {"prompt": "x", "duration_s": 5, "resolution": "720p", "inputs": {Role.IMAGE: PNG}},
    "kandinsky-5-pro": {"prompt": "x", "duration_s": 5, "resolution": "512p", "inputs": {Role.IMAGE: PNG}},
    "kling-2.5-turbo-std": {"prompt": "x", "duration_s": 5, "inputs": {Role.IMAGE: PNG}},
    "infinitetalk": {"resolution": "480p", "inputs": {Role.IMAGE: PNG, Role.AUDIO: MP3}},
}
MODELS = {("wavespeed", name): model for name, model in WAVESPEED.items()} | {
    ("fal", name): model for name, model in FAL.items()
}


def fields(name: str, **changes: Any) -> Task:
    return Task(submission_id="s", model=name, **{**MINIMAL[name], **changes})


def wrong(vendor: str, name: str, **changes: Any) -> set[str]:
    task = fields(name, **changes)
    return {violation.field.removeprefix("task.") for violation in MODELS[vendor, name].violations(task)}


@pytest.mark.parametrize(("vendor", "name"), MODELS)
def test_the_required_fields_of_a_model_suffice(vendor: str, name: str) -> None:
    assert wrong(vendor, name) == set()


@pytest.mark.parametrize(("vendor", "name"), MODELS)
def test_every_text_has_its_limit(vendor: str, name: str) -> None:
    model = MODELS[vendor, name]
    assert wrong(vendor, name, prompt="x" * model.prompt_characters) == set()
    assert wrong(vendor, name, prompt="x" * (model.prompt_characters + 1)) == {"prompt"}
    assert wrong(vendor, name, prompt="") == ({"prompt"} if model.prompt_required else set())
    limit = model.negative_prompt_characters
    assert wrong(vendor, name, negative_prompt="x" * limit) == set()
    assert wrong(vendor, name, negative_prompt="x" * (limit + 1)) == {"negative_prompt"}


@pytest.mark.parametrize(("vendor", "name"), MODELS)
def test_only_the_listed_choices_are_accepted(vendor: str, name: str) -> None:
    model = MODELS[vendor, name]
    for duration_s in model.durations_s:
        assert wrong(vendor, name, duration_s=duration_s) == set()
    for resolution in model.resolutions:
        assert wrong(vendor, name, resolution=resolution) == set()
    assert wrong(vendor, name, duration_s=7) == {"duration_s"}
    assert wrong(vendor, name, resolution="832x480") == {"resolution"}
    assert wrong(vendor, name, duration_s=None) == ({"duration_s"} if model.durations_s else set())


@pytest.mark.parametrize(("vendor", "name"), MODELS)
def test_a_parameter_that_a_model_lacks_is_refused(vendor: str, name: str) -> None:
    model = MODELS[vendor, name]
    assert wrong(vendor, name, seed=0) == (set() if model.seeds else {"seed"})
    assert wrong(vendor, name, guidance_scale=1.0) == (set() if model.guidance else {"guidance_scale"})
    assert wrong(vendor, name, prompt_expansion=False) == (set() if model.prompt_expansion else {"prompt_expansion"})
    if model.seeds:
        assert wrong(vendor, name, seed=2**31 - 1) == set()
        assert wrong(vendor, name, seed=2**31) == wrong(vendor, name, seed=-1) == {"seed"}
    if model.guidance:
        assert wrong(vendor, name, guidance_scale=0.0) == set()
        assert (
            wrong(vendor, name, guidance_scale=1.01) == wrong(vendor, name, guidance_scale=-0.01) == {"guidance_scale"}
        )


@pytest.mark.parametrize(("vendor", "name"), MODELS)
@pytest.mark.parametrize("role", Role)
def test_every_input_has_its_types_and_its_size(vendor: str, name: str, role: Role) -> None:
    takes = MODELS[vendor, name].inputs.get(role)
    others = {key: value for key, value in MINIMAL[name]["inputs"].items() if key is not role}
    if takes is None:
        assert wrong(vendor, name, inputs={**others, role: PNG}) == {"inputs"}
        return
    for media_type in takes.media_types:
        for size, expected in (
            (1, set()),
            (takes.size_bytes, set()),
            (takes.size_bytes + 1, {"inputs"}),
            (0, {"inputs"}),
        ):
            assert wrong(vendor, name, inputs={**others, role: Input(media_type, size)}) == expected
    assert wrong(vendor, name, inputs={**others, role: Input("image/gif", 1)}) == {"inputs"}
    assert wrong(vendor, name, inputs=others) == ({"inputs"} if takes.required else set())
