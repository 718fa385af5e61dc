"""JSON from outside, with a limit on its depth.

The parser of the standard library recurses. A text of 30,000 brackets takes it to the limit of recursion, where any
code that runs in between, such as a finalizer, fails too. So the depth is counted before the text is parsed.
"""

import json
import re

MOST_DEPTH = 100
"""Lists and objects inside one another. Answers of vendors and language models have fewer than ten."""
MOST_VALUES = 10_000
"""Of what a caller sends. Each takes up to 60 µs to check. The largest batch has 4,000."""
_STRING = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
"""One without an end takes the rest of the text, so that it is not searched again from each later quotation mark."""
_BRACKET = re.compile(r"[\[\]{}]")


def loads(text: str | bytes) -> object:
    """Returns the value of a JSON text. Raises ValueError if it is none, or too deep."""
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    demand_depth(text)
    return json.loads(text)


def demand_depth(text: str) -> None:
    """Raises ValueError if a JSON text is too deep."""
    if text.count("[") + text.count("{") <= MOST_DEPTH:
        return  # a picture in base64 has megabytes and no bracket
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MOST_DEPTH:
            raise ValueError(f"the JSON is nested more than {MOST_DEPTH} deep")


def strict(text: bytes) -> object:
    """Returns the value of a JSON text of a caller: without NaN and infinity, and with each name of an object once.

    Raises:
        ValueError: it is none, too deep, or has too many values.
    """
    decoded = text.decode("utf-8-sig")
    demand_depth(decoded)
    if decoded.count(",") > MOST_VALUES and _STRING.sub("", decoded).count(",") > MOST_VALUES:
        raise ValueError(f"the JSON has more than {MOST_VALUES} values")
    return json.loads(decoded, object_pairs_hook=_each_once, parse_constant=_refuse)


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a name twice")
    return found


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no number of JSON")
