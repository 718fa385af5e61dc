"""Tokens of pages: the place where the next page begins, and the request that it belongs to."""

import base64
import binascii
import json
from collections.abc import Sequence

from services.errors import InvalidInput
from services.orchestrator.api import proto_values
from services.reasons import RequestReason

TOKEN_MOST = 2000


def encode(place: Sequence[str], request: Sequence[str]) -> str:
    """Returns a token."""
    return base64.urlsafe_b64encode(json.dumps([list(place), list(request)]).encode()).decode()


def decode(token: str, request: Sequence[str], size: int) -> list[str] | None:
    """Returns the place in a token, which has `size` parts; None without a token.

    Raises InvalidInput when the token is not one of `encode` for this request.
    """
    if not token:
        return None
    try:
        if len(token) > TOKEN_MOST:
            raise ValueError
        place, bound = json.loads(base64.urlsafe_b64decode(token.encode()))
        texts = isinstance(place, list) and all(isinstance(part, str) and "\0" not in part for part in place)
        if texts and len(place) == size and bound == list(request):
            json.dumps(place, ensure_ascii=False).encode()  # a half of a surrogate pair cannot be stored
            return list(place)
    except (ValueError, TypeError, binascii.Error):
        pass
    raise malformed()


def malformed() -> InvalidInput:
    """Returns the refusal of a token."""
    return proto_values.refuse(
        "page_token",
        "is not one that this method gave for the same request; begin again without",
        RequestReason.PAGE_TOKEN_MALFORMED,
    )
