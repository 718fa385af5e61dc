"""The string fields of requests, found by the descriptors of the protos."""

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

Path = tuple[FieldDescriptor, ...]


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def strings(message: Descriptor, before: Path = ()) -> Iterator[Path]:
    """The path to each string field; one within a map is that of the map's entry."""
    for field in message.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            yield (*before, field)
        elif field.message_type is not None and not field.message_type.full_name.startswith("google.protobuf."):
            yield from strings(field.message_type, (*before, field))


def filled(message: Message, path: Path, text: str) -> str:
    """Sets the text at a path, and returns the path as a refusal names it."""
    field, rest = path[0], path[1:]
    if not rest:
        if field.is_repeated:
            getattr(message, field.name).append(text)
            return f"{field.name}[0]"
        setattr(message, field.name, text)
        return field.name
    inner = getattr(message, field.name)
    if is_map(field):
        is_key = rest[0].name == "key"
        inner[text if is_key else "key"] = "value" if is_key else text
        return field.name + "["
    if field.is_repeated:
        return f"{field.name}[0].{filled(inner.add(), rest, text)}"
    inner.SetInParent()
    return f"{field.name}.{filled(inner, rest, text)}"
