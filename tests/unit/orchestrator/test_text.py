"""When a text counts as empty, when it cannot be stored, and how the texts of a message are found."""

import pytest
from i2v.v1 import job_pb2

from services.blank_text import is_blank
from services.errors import InvalidInput, InvalidSpec
from services.orchestrator.api.request_texts import VIOLATIONS_MOST, check
from services.orchestrator.domain.forbidden_characters import fault
from services.orchestrator.domain.remote import check_scene
from services.orchestrator.domain.spec import Scene, SceneAnimation, Spec, TalkingAvatar

UNSEEN = [
    "",
    " ",
    "\u200b\u200d",
    "\ufeff",
    "\u202e\u202c",
    "\ufe0f",
    "\U000e0100",
    "\x00\x1b",
    "\u115f\u3164",
    "\u2800",
    "\t\n",
    "\u00ad",
    "\u2060",
]


@pytest.mark.parametrize("text", UNSEEN)
def test_invisible_text_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", " .", "👍️", "\u200bé", "猫", "\U0001f408", "\u2764\ufe0f", "\u05d0\u202e"])
def test_visible_text_is_not_blank(text: str) -> None:
    assert not is_blank(text)


@pytest.mark.parametrize(("text", "word"), [("a\x00", "NUL"), ("\ud83d", "surrogate"), ("a\n\t\x07\ufffe", "")])
def test_a_text_that_cannot_be_stored_has_its_reason(text: str, word: str) -> None:
    assert word in fault(text) and bool(fault(text)) == bool(word)


@pytest.mark.parametrize("text", [text for text in UNSEEN if text])
def test_an_invisible_scene_or_detail_is_empty(text: str) -> None:
    for operation in (
        SceneAnimation("0" * 64, Scene(text)),
        TalkingAvatar("0" * 64, "0" * 64, scene=Scene(text)),
    ):
        found = [violation.reason for violation in check_scene(Spec("m", operation))]
        assert "SCENE_EMPTY" in found
    keyed = SceneAnimation("0" * 64, Scene("a hall", details=((text, "value"),)))
    assert [violation.field for violation in check_scene(Spec("m", keyed))] == ["spec.scene_animation.details"]


def test_every_wrong_text_is_named_and_no_more_than_fit() -> None:
    spec = job_pb2.JobSpec(model="a\x00", scene_animation=job_pb2.SceneAnimation(details={"k\x00": "v", "l": "\x00"}))
    with pytest.raises(InvalidSpec) as caught:
        check(job_pb2.PreviewJobRequest(spec=spec))
    assert {violation.field for violation in caught.value.violations} == {
        "spec.model",
        'spec.scene_animation.details["k\\u0000"]',
        'spec.scene_animation.details["l"]',
    }
    many = {f"{number}\x00": "" for number in range(1000)}
    with pytest.raises(InvalidSpec) as caught:
        check(job_pb2.PreviewJobRequest(spec=job_pb2.JobSpec(scene_animation=job_pb2.SceneAnimation(details=many))))
    assert len(caught.value.violations) == VIOLATIONS_MOST


def test_outside_a_spec_the_whole_request_is_invalid() -> None:
    with pytest.raises(InvalidInput) as caught:
        check(job_pb2.GetJobRequest(name="jobs/\x00"))
    assert type(caught.value) is InvalidInput and caught.value.violations[0].field == "name"
