"""The cards of remote models against what the vendors' processes take: nothing that a card allows is refused later."""

import tomllib
from pathlib import Path

import pytest

from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.remote import Remote
from services.orchestrator.domain.spec import TalkingAvatar
from services.providers.task import Role
from services.providers.vendor_model import Model
from services.providers.vendors import VENDORS
from services.providers.vendors.fal import Fal
from services.providers.vendors.wavespeed import WaveSpeed

SERVED = {vendor.name: vendor.models for vendor in (WaveSpeed, Fal)}
CARDS = [
    card
    for file in sorted(Path("deploy/config/remote").glob("*.toml"))
    for card in Catalog.from_toml(tomllib.loads(file.read_text()))
]


def both(card: ModelCard) -> tuple[Remote, Model]:
    """The description of a model in its card, and in the vendor's process."""
    assert card.remote is not None
    return card.remote, SERVED[card.backend][card.remote.model]


def test_every_model_of_a_vendor_has_a_card_and_every_card_a_model() -> None:
    assert set(SERVED) == set(VENDORS)
    named = sorted((card.backend, card.remote.model) for card in CARDS if card.remote)
    assert named == sorted((vendor, model) for vendor, models in SERVED.items() for model in models)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_a_card_has_the_texts_and_choices_of_its_model(card: ModelCard) -> None:
    remote, model = both(card)
    assert card.prompt_max_characters == model.prompt_characters
    assert (remote.written_prompt_max_characters or 0) <= model.prompt_characters
    assert remote.prompt_optional is not model.prompt_required
    assert remote.negative_prompt_max_characters == model.negative_prompt_characters
    assert sorted(remote.resolutions) == sorted(model.resolutions)
    assert sorted(card.durations_ms) == sorted(1000 * seconds for seconds in model.durations_s)
    assert bool(model.durations_s) is (card.operations != (TalkingAvatar.kind,))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_a_card_accepts_only_the_parameters_of_its_model(card: ModelCard) -> None:
    remote, model = both(card)
    has = {
        "audio": Role.AUDIO in model.inputs,
        "mask": Role.MASK in model.inputs,
        "negative-prompt": model.negative_prompt_characters > 0,
        "prompt-expansion": model.prompt_expansion,
        "guidance-scale": model.guidance,
        "seed": model.seeds is not None,
    }
    assert remote.takes == {parameter for parameter, there in has.items() if there}
    if model.seeds is not None:
        assert range(remote.seed_max + 1) == model.seeds


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_a_card_has_the_sizes_and_types_of_inputs_of_its_model(card: ModelCard) -> None:
    remote, model = both(card)
    assert remote.picture_max_bytes == model.inputs[Role.IMAGE].size_bytes
    if Role.MASK in model.inputs:
        assert remote.picture_max_bytes == model.inputs[Role.MASK].size_bytes
    if Role.AUDIO in model.inputs:
        assert remote.audio_max_bytes == model.inputs[Role.AUDIO].size_bytes
        assert set(remote.audio_types) == set(model.inputs[Role.AUDIO].media_types)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_a_picture_is_stored_as_a_type_that_the_model_accepts(card: ModelCard) -> None:
    """Uploads are encoded again, as PNG or JPEG."""
    assert {"image/png", "image/jpeg"} <= set(both(card)[1].inputs[Role.IMAGE].media_types)


def test_the_prices_equal_the_vendors() -> None:
    prices = {
        card.id: {name: (each.per_second_micros, each.per_run_micros) for name, each in card.remote.prices.items()}
        for card in CARDS
        if card.remote and card.backend == "wavespeed"
    }
    assert prices == {
        "wavespeed-wan-2.5": {"480p": (50_000, 0), "720p": (100_000, 0), "1080p": (150_000, 0)},
        "wavespeed-kandinsky-5-pro": {"512p": (0, 200_000), "1024p": (0, 600_000)},
        "wavespeed-kling-2.5-turbo-std": {"any": (42_000, 0)},
        "wavespeed-infinitetalk": {"480p": (30_000, 0), "720p": (60_000, 0)},
    }
