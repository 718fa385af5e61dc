"""Checks every text of every request in one place, before its method: a new field is checked automatically."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services.errors import InvalidInput, InvalidSpec, Violation
from services.orchestrator.domain.forbidden_characters import fault
from services.reasons import RequestReason

TEXT_BYTES = 32_000
"""The longest text of any kind, in UTF-8: 8,000 characters of 4 bytes. Single fields have lower limits of their own."""
VIOLATIONS_MOST = 20
KEY_CHARACTERS = 40
"""How much of a map's key is shown in a path."""


def check(message: Message) -> None:
    """Raises InvalidSpec, or InvalidInput outside a spec; it names each field with a text that cannot be stored."""
    wrong: list[Violation] = []
    for path, text in _texts(message, ""):
        if what := fault(text):
            wrong.append(Violation(path, what, RequestReason.TEXT_MALFORMED))
        elif len(text) > TEXT_BYTES // 4 and (size := len(text.encode())) > TEXT_BYTES:
            what = f"has {len(text)} characters in {size} bytes of UTF-8; at most {TEXT_BYTES} bytes are taken"
            wrong.append(Violation(path, what, RequestReason.TEXT_TOO_LONG))
        if len(wrong) == VIOLATIONS_MOST:
            break
    if wrong:
        kind = InvalidSpec if wrong[0].field.startswith("spec.") else InvalidInput
        raise kind(wrong, reason=wrong[0].reason)


def _texts(message: Message, at: str) -> Iterator[tuple[str, str]]:
    """Yields every text that is set in a message, with the path of its field in proto spelling."""
    for field, value in message.ListFields():
        path = at + field.name
        if field.type == FieldDescriptor.TYPE_STRING:
            if not field.is_repeated:
                yield path, value
            else:
                for index, text in enumerate(value):
                    yield f"{path}[{index}]", text
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            if not field.is_repeated:
                yield from _texts(value, path + ".")
            elif _is_map(field.message_type):
                yield from _entries(value, path)
            else:
                for index, each in enumerate(value):
                    yield from _texts(each, f"{path}[{index}].")


def _entries(entries: Any, path: str) -> Iterator[tuple[str, str]]:
    for key, value in entries.items():
        here = f"{path}[{json.dumps(key[:KEY_CHARACTERS]) if isinstance(key, str) else key}]"
        if isinstance(key, str):
            yield here, key
        if isinstance(value, str):
            yield here, value
        elif isinstance(value, Message):
            yield from _texts(value, here + ".")


@cache
def _is_map(entry: Descriptor) -> bool:
    return bool(entry.GetOptions().map_entry)
