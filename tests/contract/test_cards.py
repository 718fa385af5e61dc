"""Every card that is shipped against the profile that it names: what is promised can be made."""

import json
import tomllib
from pathlib import Path

import pytest

from services.orchestrator.backends.profile import Profile
from services.orchestrator.domain.catalog import Catalog, ModelCard
from tools.export.build import served
from tools.export.profile import load

CARDS = [
    card
    for file in sorted(Path("deploy/config").rglob("*.toml"))
    if "models" in (parsed := tomllib.loads(file.read_text()))
    for card in Catalog.from_toml(parsed)
]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_all_that_a_card_promises_can_be_made_by_its_profile(card: ModelCard) -> None:
    assert card.engine is not None
    told = served(load(card.engine.profile)) | {"digest": "of no files"}
    Profile.parse(json.dumps(told)).check(card)
