"""The query of a URL, typed by the fields of a request. Pure."""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest
from services.studio.resources import json_message

FIELDS_MOST = 200
_WHOLE = re.compile(r"-?\d{1,20}", re.ASCII)
_NUMBERS = (
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
)


def read(message: Message, query: bytes, known: Iterable[str]) -> None:
    """Sets the fields of a message from a query such as `groupBy=DAY&groupBy=MODEL&pageSize=10`.

    Raises:
        RefusedRequest: a field is not known, comes twice and is no list, or has a wrong value.
    """
    value: dict[str, object] = {}
    for name, text in _pairs(query):
        field = json_message.field_named(json_message.described(message), name)
        if field is None:
            json_message.read(message, {name: None}, known)  # refuses it, with the fields that there are
            continue
        item = _value(field, text, name)
        if field.is_repeated:
            listed = value.setdefault(name, [])
            assert isinstance(listed, list)
            listed.append(item)
        elif name in value:
            sentence = "Give this field once."
            raise RefusedRequest(sentence, reason=HttpReason.FIELD_DUPLICATE, param=name)
        else:
            value[name] = item
    json_message.read(message, value, known)


def is_scalar(field: FieldDescriptor) -> bool:
    """Returns whether a field may be in a query: its JSON is a text, a number or a truth."""
    kind: Descriptor | None = field.message_type
    return kind is None or kind.full_name in json_message.TEXTS


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELDS_MOST,
            separator="&",
        )
    except ValueError as error:
        sentence = f"The query cannot be read: it has more than {FIELDS_MOST} fields, or is no UTF-8."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED) from error


def _value(field: FieldDescriptor, text: str, name: str) -> object:
    """Returns a value for JSON."""
    wrong = field.cpp_type in _NUMBERS and not _WHOLE.fullmatch(text)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if text in ("true", "false"):
            return text == "true"
        wrong = True
    if wrong or not is_scalar(field):
        sentence = f"Give {json_message.takes(field)}."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param=name)
    return text
