"""JSON that may come from anyone: no key twice, no NaN, no half of a surrogate pair, and not too deep."""

import json
import math
from typing import Any

from services import bounded_json
from services.client.transfer.faults import BrokenExport
from services.reasons import LibraryReason


def loads(data: bytes, place: str) -> dict[str, Any]:
    """Returns the object in a JSON text. Raises BrokenExport, with the place, if it is none."""
    try:
        text = data.decode()
        bounded_json.demand_depth(text)
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair
    except (ValueError, RecursionError) as error:
        raise BrokenExport(
            LibraryReason.EXPORT_MALFORMED, place, f"this is no JSON that is taken: {error}"[:300]
        ) from None
    if not isinstance(value, dict):
        raise BrokenExport(LibraryReason.EXPORT_MALFORMED, place, "this is no JSON object")
    return value


def dumps(value: object) -> bytes:
    """Returns the text of a value on one line. Raises ValueError for what `loads` would refuse."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no JSON number")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError("a number is too large")
    return value
