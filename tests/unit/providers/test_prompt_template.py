"""The template: the same prompt for the same scene, always one that can be sent."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.providers.prompt.scene import Kind, Scene
from services.providers.prompt.template_prompt import (
    MARKUP,
    MOTIONS,
    NEGATIVE_PROMPT,
    SHORTEST,
    TALKING_CHARACTERS,
    from_template,
)

TEXTS = st.text(max_size=600)
DETAILS = st.dictionaries(st.text(min_size=1, max_size=64), st.text(max_size=100), max_size=4)


@given(st.sampled_from(Kind), TEXTS, DETAILS, st.integers(15, 2500))
def test_every_scene_gives_a_valid_prompt(kind: Kind, text: str, details: dict[str, str], most: int) -> None:
    scene = Scene(kind=kind, scene=text, details=details, max_characters=most)
    prompt = from_template(kind, scene)
    assert 15 <= len(prompt) <= most
    assert MARKUP.isdisjoint(prompt)
    assert not [each for each in prompt if unicodedata.category(each)[0] == "C" or each in "\u2028\u2029"]
    assert prompt == from_template(kind, scene)


def test_an_animation_has_the_scene_then_the_motion_then_the_details() -> None:
    details = {"Mara": "a tall woman in a red coat", "Light": "late sun"}
    scene = Scene(kind=Kind.ANIMATION, scene="Mara waits\nat the  gate", details=details, max_characters=500)
    expected = (
        f"Mara waits at the gate. {MOTIONS[Kind.ANIMATION][0]} Light: late sun. Mara: a tall woman in a red coat."
    )
    assert from_template(Kind.ANIMATION, scene) == expected


def test_a_prompt_of_a_talking_head_has_at_most_350_characters() -> None:
    scene = Scene(kind=Kind.TALKING, scene="A woman tells of the sea. " * 50, max_characters=2500)
    prompt = from_template(Kind.TALKING, scene)
    assert len(prompt) <= TALKING_CHARACTERS == 350
    assert prompt.startswith("A woman tells of the sea. A woman")
    assert prompt.endswith(MOTIONS[Kind.TALKING][0])


def test_a_long_scene_is_cut_after_a_sentence_where_one_ends_late_enough() -> None:
    scene = Scene(kind=Kind.ANIMATION, scene="A boat rocks by the pier. " + "word " * 40, max_characters=100)
    assert from_template(Kind.ANIMATION, scene) == f"A boat rocks by the pier. {MOTIONS[Kind.ANIMATION][1]}"
    scene = Scene(kind=Kind.ANIMATION, scene="Rocks. " + "word " * 40, max_characters=100)
    assert from_template(Kind.ANIMATION, scene) == f"Rocks. word word word word word. {MOTIONS[Kind.ANIMATION][1]}"


@pytest.mark.parametrize("kind", Kind)
def test_the_smallest_limit_is_used_exactly(kind: Kind) -> None:
    assert len(SHORTEST[kind]) == 15
    assert from_template(kind, Scene(kind=kind, scene="x" * 4000, max_characters=15)) == SHORTEST[kind]


def test_the_negative_prompt_is_short_enough_for_every_vendor() -> None:
    assert len(NEGATIVE_PROMPT) <= 500
