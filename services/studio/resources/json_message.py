"""Protobuf messages as JSON, and JSON of callers as messages: a refusal names the field and what it takes. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2  # noqa: F401  the details of errors in batches are of these types

from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest

TEXTS = {
    "google.protobuf.Timestamp": "a time such as '2026-11-30T12:00:00Z'",
    "google.protobuf.Duration": "seconds such as '2.5s'",
    "google.protobuf.FieldMask": "names of fields such as 'title,description'",
}
"""What messages are texts in JSON."""
OBJECTS = {"google.protobuf.Struct"}
"""What messages are any object in JSON."""
_TYPES = {
    FieldDescriptor.CPPTYPE_INT32: "a whole number of 32 bits",
    FieldDescriptor.CPPTYPE_INT64: "a whole number of 64 bits, as a number or a text",
    FieldDescriptor.CPPTYPE_UINT32: "a whole number of 32 bits, not negative",
    FieldDescriptor.CPPTYPE_UINT64: "a whole number of 64 bits, not negative, as a number or a text",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_STRING: "a text of Unicode",
    FieldDescriptor.CPPTYPE_MESSAGE: "an object",
}
_FAULTS = (json_format.ParseError, ValueError, TypeError, OverflowError, AttributeError)
"""What the parser raises: some values of the wrong type are more than it expects."""


def to_json(message: Message) -> bytes:
    """Returns the JSON of a message: names in lowerCamelCase, also of fields without presence that are empty."""
    value = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def read(message: Message, value: Mapping[str, object], known: Iterable[str], path: str = "") -> None:
    """Sets the fields of a message from JSON.

    Args:
        message: It gets the fields.
        value: An object, with each name in lowerCamelCase or as in the proto.
        known: The fields that may come, as in the proto.
        path: Where the object is in the request; empty: it is all of it.

    Raises:
        RefusedRequest: a field is not known, or has a wrong value.
    """
    allowed, kind = set(known), described(message)
    for name in value:
        if (field := field_named(kind, name)) is None or field.name not in allowed:
            fields = (kind.fields_by_name[each] for each in allowed)
            raise _unknown(_join(path, name), sorted(each.json_name for each in fields))
    try:
        _demand_shape(kind, value)
        json_format.ParseDict(dict(value), message)
    except _FAULTS:
        raise _fault(kind, value, path) from None


def described(message: Message) -> Descriptor:
    """Returns the type of a message."""
    return cast(Descriptor, message.DESCRIPTOR)


def is_whole(field: FieldDescriptor) -> bool:
    """Returns whether a field has no fields of its own that a path could name: a value, a list, a map, any object."""
    kind = field.message_type
    return kind is None or field.is_repeated or kind.full_name in TEXTS or kind.full_name in OBJECTS


def field_named(message: Descriptor, name: str) -> FieldDescriptor | None:
    """Returns the field of a name in lowerCamelCase, or as in the proto."""
    found: FieldDescriptor | None = message.fields_by_camelcase_name.get(name) or message.fields_by_name.get(name)
    return found


def takes(field: FieldDescriptor) -> str:
    """Returns what one value of a field is, for a sentence: `a number`."""
    if field.enum_type is not None:
        return "one of " + ", ".join(each.name for each in field.enum_type.values if each.number)
    if field.message_type is not None and field.message_type.full_name in TEXTS:
        return TEXTS[field.message_type.full_name]
    return "base64" if field.type == FieldDescriptor.TYPE_BYTES else _TYPES[field.cpp_type]


def _demand_shape(message: Descriptor, value: Mapping[str, object]) -> None:
    """Raises ValueError if a message is no object: the parser takes what is empty, such as `[]`, for one."""
    for name, item in value.items():
        field = field_named(message, name)
        if field is None or (is_whole(field) and not field.is_repeated) or item is None:
            continue
        if not field.is_repeated:
            _demand_object(field, item)
        elif isinstance(item, list) and field.message_type is not None and field.message_type.full_name not in TEXTS:
            for each in item:
                _demand_object(field, each)


def _demand_object(field: FieldDescriptor, item: object) -> None:
    if not isinstance(item, dict):
        raise ValueError(field.full_name)
    if field.message_type is not None:
        _demand_shape(field.message_type, item)


def _unknown(path: str, known: list[str]) -> RefusedRequest:
    sentence = f"There is no field {path[-80:]!r}; there are {', '.join(known) or 'none'}."
    return RefusedRequest(sentence, reason=HttpReason.FIELD_UNKNOWN, param=path[:200])


def _wrong(path: str, what: str) -> RefusedRequest:
    return RefusedRequest(f"Give {what}.", reason=HttpReason.FIELD_MALFORMED, param=path[:200])


def _fault(message: Descriptor, value: Mapping[str, object], path: str) -> RefusedRequest:
    """Returns what is wrong with an object that the parser refuses: the first field that it refuses alone."""
    for name, item in value.items():
        here, field = _join(path, name), field_named(message, name)
        if field is None:
            return _unknown(here, sorted(each.json_name for each in message.fields))
        if not _parses(message, name, item):
            return _fault_of_field(message, field, name, item, here)
    sentence = "Give each field once, and at most one of fields that exclude one another."
    return RefusedRequest(sentence, reason=HttpReason.FIELD_DUPLICATE, param=path[:200])


def _fault_of_field(message: Descriptor, field: FieldDescriptor, name: str, item: object, path: str) -> RefusedRequest:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        values = entry.fields_by_name["value"]
        if isinstance(item, dict):
            for key, each in item.items():
                if not _parses(message, name, {key: each}):
                    return _wrong(_join(path, key), takes(values))
        return _wrong(path, f"an object whose values are each {takes(values)}")
    if not field.is_repeated:
        return _fault_of_value(field, item, path)
    if isinstance(item, list):
        for number, each in enumerate(item):
            if not _parses(message, name, [each]):
                return _fault_of_value(field, each, f"{path}[{number}]")
    return _wrong(path, f"a list, each of it {takes(field)}")


def _fault_of_value(field: FieldDescriptor, item: object, path: str) -> RefusedRequest:
    kind = field.message_type
    if isinstance(item, dict) and kind is not None and kind.full_name not in TEXTS and kind.full_name not in OBJECTS:
        return _fault(kind, item, path)
    return _wrong(path, takes(field))


def _parses(message: Descriptor, name: str, item: object) -> bool:
    try:
        _demand_shape(message, {name: item})
        json_format.ParseDict({name: item}, _new(message))
    except _FAULTS:
        return False
    return True


def _new(message: Descriptor) -> Any:
    return GetMessageClass(message)()


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
