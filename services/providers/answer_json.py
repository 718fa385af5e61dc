"""JSON of vendors, which is not trusted."""

import json

from services import bounded_json


def plain(text: bytes) -> bytes:
    """Returns JSON without escapes, which could hide our key or half a character that protobuf refuses.

    Only UTF-8 is read. json.loads by itself would guess UTF-16 or UTF-32, in which our key has other bytes.
    """
    unescaped = text.decode("utf-8-sig", errors="replace")
    if "\\" in unescaped:
        try:
            unescaped = json.dumps(bounded_json.loads(unescaped), ensure_ascii=False)
        except ValueError:
            return b""
    return unescaped.encode(errors="replace")


def parsed(text: bytes) -> object:
    """Returns the value of a JSON text, or None where it is no JSON, or too deep."""
    try:
        return bounded_json.loads(text.decode(errors="replace"))
    except ValueError:
        return None
