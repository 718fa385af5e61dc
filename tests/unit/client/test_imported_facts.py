"""What an imported asset says of its origin: the service takes it, and it changes nothing that people say."""

import json

from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from i2v.v1 import asset_pb2

from services.client.transfer import imported_facts
from services.orchestrator.api import library_messages
from services.orchestrator.domain import library_details
from tests.support.exports import CAT, an_asset

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
VALUES = st.dictionaries(TEXT, TEXT | st.floats(allow_nan=False, allow_infinity=False) | st.lists(TEXT), max_size=4)


def made_by_a_job(prompt: str, parents: int = 1) -> asset_pb2.Asset:
    asset = an_asset(CAT)
    asset.origin.model, asset.origin.prompt = "nano", prompt
    asset.origin.parents.extend([asset.name] * parents)
    return asset


@given(prompt=st.text(st.characters(exclude_categories=["Cs", "Cc"])), times=st.integers(0, 20_000), custom=VALUES)
def test_the_facts_fit_into_what_the_service_takes(prompt: str, times: int, custom: dict[str, object]) -> None:
    asset = made_by_a_job(prompt * times, parents=3)
    asset.details.custom_metadata.update(custom)
    details = imported_facts.new_details(asset, "studio")
    taken = library_messages.details(details)
    assert list(library_details.problems(taken, "header.details")) == []
    imported = asset_pb2.Asset(name=asset.name, details=details)
    assert imported_facts.same(asset, imported)
    assert imported_facts.source_of(imported) == asset.name


def test_a_long_prompt_is_shortened_and_the_rest_stays() -> None:
    facts = MessageToDict(imported_facts.new_details(made_by_a_job("é" * 9000), "studio").custom_metadata)
    origin = facts["imported_by_i2v"]["origin"]
    assert (
        3000 < len(origin["prompt"]) < 9000
        and origin["model"] == "nano"
        and facts["imported_by_i2v"]["tenant"] == "studio"
    )


def test_facts_for_which_there_is_no_room_are_reduced_to_the_name_or_left_out() -> None:
    asset = made_by_a_job("it moves")
    asset.details.custom_metadata.update({"own": "x" * 8000})
    facts = MessageToDict(imported_facts.new_details(asset, "").custom_metadata)
    assert facts["imported_by_i2v"] == {"name": asset.name}
    asset.details.custom_metadata.update({"own": "x" * 8150})
    assert imported_facts.new_details(asset, "").custom_metadata == asset.details.custom_metadata


def test_the_facts_of_an_earlier_import_stay_apart_from_the_name() -> None:
    first = made_by_a_job("it moves")
    second = asset_pb2.Asset(name="assets/" + "0" * 64, details=imported_facts.new_details(first, "studio"))
    facts = MessageToDict(imported_facts.new_details(second, "story").custom_metadata)["imported_by_i2v"]
    assert facts["origin"]["prompt"] == "it moves" and facts["tenant"] == "studio" and facts["name"] == second.name


def test_an_overwritten_entry_keeps_the_facts_that_it_has_here() -> None:
    there, here = made_by_a_job("forged"), an_asset(CAT)
    there.details.custom_metadata.update({"own": 1, "imported_by_i2v": {"name": "assets/forged"}})
    here.details.custom_metadata.update({"old": 2, "imported_by_i2v": {"name": "assets/true"}})
    custom = MessageToDict(imported_facts.overwriting(there, here).custom_metadata)
    assert json.dumps(custom, sort_keys=True) == '{"imported_by_i2v": {"name": "assets/true"}, "own": 1.0}'


@given(VALUES)
def test_facts_of_any_kind_in_the_metadata_do_no_harm(value: dict[str, object]) -> None:
    asset = an_asset(CAT)
    asset.details.custom_metadata.update({"imported_by_i2v": value})
    assert isinstance(imported_facts.source_of(asset), str)
    facts = MessageToDict(imported_facts.new_details(asset, "").custom_metadata)
    assert facts["imported_by_i2v"]["name"] == asset.name
