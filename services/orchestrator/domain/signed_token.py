"""Tokens that name something and are signed, so that no row is needed.

A token is its kind, the fields as JSON in URL-safe base64, a point, and an HMAC-SHA-256 of all before the point. The
fields can be read by anyone who has the token: they hold no secret.
"""

import base64
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def sign(kind: str, fields: Sequence[str | int], key: bytes) -> str:
    """Returns the token of some fields, in characters that need no escapes in a path. `kind` ends with a point."""
    text = kind + _base64(json.dumps(list(fields), separators=(",", ":")).encode())
    return f"{text}.{_tag(text, key)}"


def read(kind: str, token: str, key: bytes) -> list[Any] | None:
    """Returns the fields of a token; None if it is not one of this kind and key."""
    text, _, tag = token.rpartition(".")
    # The tag is compared as text, so each token has one spelling.
    if not token.isascii() or not text.startswith(kind) or not hmac.compare_digest(tag, _tag(text, key)):
        return None
    encoded = text.removeprefix(kind)
    fields: list[Any] = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    return fields


def seconds_of(time: datetime) -> int:
    """Returns a time as a field: whole seconds."""
    return (time - EPOCH) // timedelta(seconds=1)


def time_of(seconds: int) -> datetime:
    """Returns the time of such a field."""
    return EPOCH + timedelta(seconds=seconds)


def _tag(text: str, key: bytes) -> str:
    return _base64(hmac.digest(key, f"i2v url {text}".encode(), "sha256"))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
