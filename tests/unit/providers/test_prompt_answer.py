"""How an answer is parsed, without a network: any text gives a prompt that can be sent, or a reason."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.providers.prompt.answer_parser import Draft, Unusable, read_answer
from services.providers.prompt.endpoint_fault import EndpointFault, fault_of
from services.providers.prompt.instructions import BEGIN, END, Form, system_message, user_message
from services.providers.prompt.scene import Kind, Scene
from services.providers.prompt.template_prompt import MARKUP
from services.providers.prompt.token_cost import Bill, Price, Usage

GOOD = "The boat rocks gently while the camera drifts along the pier."
RULES = system_message(Kind.ANIMATION, Form.JSON, 400)


def read(content: str, most: int = 400, scene_text: str = "") -> Draft:
    return read_answer(content, max_characters=most, instructions=RULES, scene_text=scene_text)


JSONS = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3))
ANSWERS = (
    st.text()
    | st.dictionaries(st.sampled_from(["prompt", "negative_prompt", "x"]), JSONS | st.text(min_size=15)).map(json.dumps)
    | st.text().map(lambda text: f"{GOOD} {text}")
)


@given(ANSWERS, st.integers(15, 2500))
def test_any_answer_gives_a_prompt_that_can_be_sent_or_a_reason(content: str, most: int) -> None:
    try:
        draft = read(content, most)
    except Unusable as unusable:
        assert unusable.why
        return
    assert 15 <= len(draft.prompt) <= most
    assert len(draft.negative_prompt) <= 500
    for text in (draft.prompt, draft.negative_prompt):
        assert MARKUP.isdisjoint(text)
        assert not [each for each in text if unicodedata.category(each)[0] == "C"]


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        f'"{GOOD}"',
        f"“{GOOD}”",
        f"**Prompt:** {GOOD}",
        f"Video prompt: {GOOD}",
        f"```\n{GOOD}\n```",
        f"\n {GOOD.replace(' ', '  ')}\n",
        GOOD.replace(" ", "\n"),
        json.dumps({"prompt": f"{GOOD}\n"}),
        json.dumps({"prompt": GOOD, "negative_prompt": None}),
    ],
)
def test_text_around_a_prompt_is_removed(content: str) -> None:
    assert (read(content).prompt, read(content).notes) == (GOOD, ())


@pytest.mark.parametrize(
    "prompt",
    [
        "The singer's hand lifts; she says 'now' and the light comes up.",
        "Sure hands close the lid as the camera slowly rises over the workbench.",
        "Here the river bends and mist lifts from it while the camera glides on.",
        "A tired man, sorry and wet, turns away as rain runs down the glass.",
        "It is 50% darker now; rain (heavy) falls at an angle of 30°.",
    ],
)
def test_a_prompt_that_only_begins_like_something_else_is_a_prompt(prompt: str) -> None:
    assert read(prompt).prompt == prompt


@pytest.mark.parametrize(
    "content", ["```" + "\n" * 30_000 + "x", "```\n" + " " * 30_000 + "```x", "prompt" + " " * 30_000]
)
def test_an_answer_made_to_be_slow_to_parse_is_parsed_quickly(content: str) -> None:
    with pytest.raises(Unusable):
        read(content)


def test_words_that_our_rules_and_the_scene_share_are_allowed() -> None:
    quoted = "Work out how this person comes across while speaking: the face"
    rules = system_message(Kind.TALKING, Form.TEXT, 400)
    with pytest.raises(Unusable, match="repeats"):
        read_answer(quoted, max_characters=400, instructions=rules, scene_text="")
    assert read_answer(quoted, max_characters=400, instructions=rules, scene_text=quoted).prompt == quoted


def test_a_prompt_of_exactly_the_minimum_or_maximum_is_accepted() -> None:
    assert read("a" * 15).prompt == "a" * 15
    assert read("a" * 400).prompt == "a" * 400
    with pytest.raises(Unusable, match="has 14 characters; 15 are needed"):
        read("a" * 14)
    with pytest.raises(Unusable, match="has 401 characters; 400 are allowed"):
        read("a" * 401)


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text(), max_size=3))
def test_a_scene_is_one_line_of_json_between_two_marks(scene: str, story: str, details: dict[str, str]) -> None:
    message = user_message(Scene(kind=Kind.ANIMATION, scene=scene, story=story, details=details))
    begin, line, end = message.split("\n")
    assert (begin, end) == (BEGIN, END)
    assert len(message.splitlines()) == 3
    assert json.loads(line) == {"scene": scene, "story": story, "details": details}
    assert not [each for each in line if unicodedata.category(each)[0] == "C" or each in "<>[]|`\u2028\u2029"]


def test_other_alphabets_are_not_escaped() -> None:
    assert "Рыбак чинит сеть 漁師 🎣" in user_message(Scene(kind=Kind.TALKING, scene="Рыбак чинит сеть 漁師 🎣"))


@pytest.mark.parametrize("kind", Kind)
def test_the_instructions_name_the_limit_and_the_form(kind: Kind) -> None:
    assert "15 to 350 characters" in system_message(kind, Form.TEXT, 350)
    assert "JSON object" in system_message(kind, Form.JSON, 350)
    assert "JSON" not in system_message(kind, Form.TEXT, 350)


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), max_size=4), st.integers(0, 10**9))
def test_a_cost_is_rounded_up_by_less_than_one_micro(usages: list[tuple[int, int]], price: int) -> None:
    bill = Bill(Price(price, 3 * price, "USD"))
    for read_tokens, written in usages:
        bill.add(Usage(read_tokens, written), Usage(0, 0))
    exact = sum(read_tokens * price + written * 3 * price for read_tokens, written in usages)
    assert exact <= bill.cost_micros * 1_000_000 < exact + 1_000_000
    assert (bill.answers, bill.guessed) == (len(usages), False)


def test_an_answer_without_its_tokens_costs_the_most_that_it_can() -> None:
    bill = Bill(Price(1_000_000, 2_000_000, "USD"))
    bill.add(None, Usage(10, 5))
    assert (bill.cost_micros, bill.counted, bill.guessed) == (20, Usage(0, 0), True)


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (
            429,
            {"code": "rate_limit_exceeded", "message": "Your quota of requests a minute is used up"},
            EndpointFault.BUSY,
        ),
        (429, {"message": "Too many requests; see https://example.com/quotaincrease"}, EndpointFault.BUSY),
        (429, {"message": "Add credit at your billing page to raise the limit"}, EndpointFault.BUSY),
        (429, {"message": 7, "code": 9}, EndpointFault.BUSY),
        (429, None, EndpointFault.BUSY),
        (429, [], EndpointFault.BUSY),
        (429, {"error": "Quota exceeded"}, EndpointFault.QUOTA),
        (429, {"type": "insufficient_quota"}, EndpointFault.QUOTA),
        (400, {"code": "billing_hard_limit_reached"}, EndpointFault.QUOTA),
        (500, {"code": "insufficient_quota"}, EndpointFault.BUSY),
        (403, {"message": "Flagged by moderation"}, EndpointFault.REFUSED),
        (403, {"message": "Country not supported"}, EndpointFault.KEY),
        (400, {"message": "Missing API key"}, EndpointFault.KEY),
        (400, {"message": "The key frame is not valid"}, EndpointFault.REFUSED),
        (404, {"message": "no such model"}, EndpointFault.BROKEN),
        (302, None, EndpointFault.BROKEN),
        (413, None, EndpointFault.REFUSED),
        (408, "late", EndpointFault.BUSY),
        (529, "<html>", EndpointFault.BUSY),
    ],
)
def test_an_error_of_an_endpoint_is_classified_by_its_status_and_body(
    status: int, body: object, fault: EndpointFault
) -> None:
    assert fault_of(status, body) is fault
