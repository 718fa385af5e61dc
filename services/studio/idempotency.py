"""`Idempotency-Key`: a key of the caller's that makes a request one that is done once."""

import uuid

from starlette.requests import Request

from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest

KEY = "idempotency-key"
OF_KEYS = uuid.UUID("5b1f6a3e-7d53-4d8e-9d0f-3f2f0c8c9a61")
"""The namespace of request_ids that are made from keys."""


def key_of(request: Request) -> str | None:
    """Returns the key of a request; None: it has none. Raises RefusedRequest."""
    if (key := request.headers.get(KEY)) is None:
        return None
    if not 1 <= len(key) <= 255 or len(request.headers.getlist(KEY)) > 1:
        sentence = "An Idempotency-Key has 1 to 255 characters, and comes once."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED)
    return key


def request_id(key: str | None) -> str:
    """Returns the request_id of a request: the same for the same key."""
    if key is None:
        return str(uuid.uuid4())  # noqa: TID251  one that is used once
    return str(uuid.uuid5(OF_KEYS, key))
