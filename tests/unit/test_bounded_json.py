"""JSON from outside: parsed as usual, unless it is too deep for the parser."""

import json

import pytest

from services import bounded_json
from services.bounded_json import MOST_DEPTH


@pytest.mark.parametrize(
    "value",
    [1, "[" * 5000, {"a": ["}" * 5000, '"[' * 200, "\\"]}, [[[{}]]], {"ä": "[\n["}],
    ids=lambda each: str(each)[:10],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_value_is_read_with_any_brackets_in_its_texts(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert bounded_json.loads(text) == bounded_json.loads(text.encode()) == value


def test_a_value_of_the_maximum_depth_is_read() -> None:
    text = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert bounded_json.loads(text) == json.loads(text)


@pytest.mark.parametrize(
    "text", ["[" * 30_000, '{"a":' * 30_000, "[" * 101 + "]" * 101], ids=["lists", "objects", "one"]
)
def test_a_deeper_value_is_refused_before_it_is_parsed(text: str) -> None:
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        bounded_json.loads(text)


@pytest.mark.parametrize("text", ["", "{", '"', '"' + '\\"' * 500_000 + "\\", b"\xff", "nul"], ids=range(6))
def test_a_text_that_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        bounded_json.loads(text)


def test_json_of_callers_has_no_name_twice_and_no_number_that_is_none() -> None:
    assert bounded_json.strict(b'{"a": [1, {"a": 2}]}') == {"a": [1, {"a": 2}]}
    for text in (b'{"a": 1, "a": 2}', b"[NaN]", b"[-Infinity]", b"[" * 200, b"\xff", b"", b"[1" + b"0" * 5000 + b"]"):
        with pytest.raises(ValueError):
            bounded_json.strict(text)


def test_json_of_callers_has_a_bounded_number_of_values_and_any_commas_in_its_texts() -> None:
    with pytest.raises(ValueError, match="values"):
        bounded_json.strict(b"[" + b"0," * bounded_json.MOST_VALUES + b"0,0]")
    assert bounded_json.strict(b'["' + b"," * 2 * bounded_json.MOST_VALUES + b'"]')
