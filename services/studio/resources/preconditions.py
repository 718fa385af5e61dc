"""Entity tags of resources, `If-Match` and `If-None-Match` (RFC 9110, section 13). Pure."""

import hashlib
import re
from typing import Any

from google.protobuf.message import Message

from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest
from services.studio.resources.binding import Binding

_ONE = re.compile(r'"([\x21\x23-\x7e]{1,200})"')


def tag(message: Message, body: bytes) -> str:
    """Returns the tag of a response, with its quotes: its `etag`, which an update takes, or a digest of the body."""
    of_message: Any = message
    if "etag" in message.DESCRIPTOR.fields_by_name and of_message.etag:
        return f'"{of_message.etag}"'
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def expected(binding: Binding, if_match: str | None) -> str:
    """Returns the etag that a header `If-Match` demands; empty: any. Raises RefusedRequest."""
    if if_match is None:
        return ""
    if not binding.etag:
        sentence = "This request takes no If-Match: send it without."
        raise RefusedRequest(sentence, reason=HttpReason.PRECONDITION_UNSUPPORTED)
    if if_match.strip() == "*":
        return ""
    if not (found := _ONE.fullmatch(if_match.strip())):
        sentence = "If-Match has one strong entity tag, in quotes."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param="If-Match")
    return found[1]
