"""JSON of a batch's input: no key twice, no half of a surrogate pair, and not too deep."""

import json
from typing import Any

from services import bounded_json


def loads(text: str) -> Any:
    """Returns the value of a text. Raises ValueError, with what is wrong."""
    try:
        bounded_json.demand_depth(text)
        value = json.loads(text, object_pairs_hook=_unique)
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair
    except RecursionError:
        raise ValueError("it is too deep") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found
