"""JSON schemas of messages, as protobuf's JSON writes and reads them."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Type

from tools.openapi.proto_files import Enum, Field, Message, ProtoFiles

PACKAGES = re.compile(r"\.?i2v\.(admin\.)?v1\.")
GENERATED = "request_id"
"""The field that `Idempotency-Key` fills, or the service."""
OF_HTTP = {
    "google.rpc.RetryInfo": "`Retry-After`",
    "google.rpc.QuotaFailure": "`limits`",
    "google.rpc.BadRequest": "`violations`",
    "The metadata of ErrorInfo has": "`metadata` has",
    "The metadata have": "`metadata` has",
}
"""How the details of errors of gRPC come over HTTP."""
OWN_NAMES = frozenset({"filter", "order_by"})
"""Fields whose comments name what is inside their values: these names stay as they are."""
Schema = dict[str, Any]


def whole_number(bits: int, *, signed: bool) -> Schema:
    """Returns a whole number: a text in answers, so that no digits are lost; a text or a number in requests."""
    return {
        "type": ["string", "integer"],
        "format": f"{'' if signed else 'u'}int{bits}",
        "pattern": "^-?[0-9]{1,19}$" if signed else "^[0-9]{1,20}$",
        "minimum": -(2 ** (bits - 1)) if signed else 0,
        "maximum": 2 ** (bits - 1) - 1 if signed else 2**bits - 1,
    }


def _small(*, signed: bool) -> Schema:
    least, most = (-(2**31), 2**31 - 1) if signed else (0, 2**32 - 1)
    return {"type": "integer", "format": f"{'' if signed else 'u'}int32", "minimum": least, "maximum": most}


SCALARS: Mapping[int, Callable[[], Schema]] = {
    Type.TYPE_DOUBLE: lambda: {"type": "number", "format": "double"},
    Type.TYPE_FLOAT: lambda: {"type": "number", "format": "float"},
    Type.TYPE_BOOL: lambda: {"type": "boolean"},
    Type.TYPE_STRING: lambda: {"type": "string"},
    Type.TYPE_BYTES: lambda: {"type": "string", "contentEncoding": "base64"},
    Type.TYPE_INT32: lambda: _small(signed=True),
    Type.TYPE_SINT32: lambda: _small(signed=True),
    Type.TYPE_UINT32: lambda: _small(signed=False),
    Type.TYPE_INT64: lambda: whole_number(64, signed=True),
    Type.TYPE_SINT64: lambda: whole_number(64, signed=True),
    Type.TYPE_UINT64: lambda: whole_number(64, signed=False),
}
WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time", "examples": ["2026-11-30T12:00:00Z"]},
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$",
        "examples": ["5s", "2.500s"],
    },
    "google.protobuf.FieldMask": {"type": "string", "examples": ["title,tags"]},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
    },
}


def component(name: str) -> str:
    """Returns under which name a message or an enum is in the document: `Job.State` for `i2v.v1.Job.State`."""
    return PACKAGES.sub("", name, count=1)


class MessageSchemas:
    """The schemas of the messages that operations use, and of all that is in them."""

    def __init__(self, protos: ProtoFiles, calls: Mapping[str, str] | None = None) -> None:
        """`calls` has what stands for the names of RPCs in texts, such as `POST /v1/jobs`."""
        self._protos = protos
        self._calls = calls or {}
        self._json_names = {
            field.proto.name: field.proto.json_name for message in protos.messages.values() for field in message.fields
        }
        self._names: dict[str, str] = {}
        self.components: dict[str, Schema] = {}
        """By their names in the document."""

    def text(self, comment: str) -> str:
        """Returns a comment with the names of fields as JSON has them, and those of RPCs as HTTP has them."""
        for of_grpc, of_http in OF_HTTP.items():
            comment = comment.replace(of_grpc, of_http)
        text = re.sub(r"\b[a-z]+(?:_[a-z0-9]+)+\b", lambda name: self._json_names.get(name[0], name[0]), comment)
        return re.sub(r"\b(?:[A-Z][a-z]+Service\.)?([A-Z]\w+)\b", lambda name: self._calls.get(name[1], name[0]), text)

    def reference(self, name: str) -> Schema:
        """Returns the schema for a message or an enum, by full name, and adds it to the components.

        Raises ValueError if another one has its name there.
        """
        name = name.removeprefix(".")
        if name in WELL_KNOWN:
            return dict(WELL_KNOWN[name])
        key = component(name)
        if self._names.setdefault(key, name) != name:
            raise ValueError(f"{name} and {self._names[key]} have one name in the document")
        if key not in self.components:
            self.components[key] = {}  # messages can hold themselves
            if name in self._protos.enums:
                self.components[key] = self._enum(self._protos.enums[name])
            else:
                self.components[key] = self.inline(name)
        return {"$ref": f"#/components/schemas/{key}"}

    def inline(self, name: str, without: frozenset[str] = frozenset()) -> Schema:
        """Returns the schema of a message in place, without some of its fields."""
        message = self._protos.messages[name]
        fields = [each for each in message.fields if each.proto.name not in without]
        schema: Schema = {"type": "object"}
        if message.comment:
            schema["description"] = self.text(message.comment)
        if fields:
            schema["properties"] = {each.proto.json_name: self.field(each) for each in fields}
        if required := [each.proto.json_name for each in fields if _is_needed(each)]:
            schema["required"] = required
        choices = [
            choice
            for index, comment in enumerate(message.oneofs)
            if (choice := _choice([each for each in message.members(index) if each in fields], comment))
        ]
        if choices:
            schema["allOf"] = choices
        return schema

    def field(self, field: Field) -> Schema:
        """Returns the schema of a field with its comment."""
        schema = self._of_type(field.proto)
        if field.proto.label == Type.LABEL_REPEATED:
            entry = self._entry(field.proto)
            if entry is not None:
                schema = {"type": "object", "additionalProperties": self._of_type(entry.fields[1].proto)}
            else:
                schema = {"type": "array", "items": schema}
        if field.comment:
            schema["description"] = field.comment if field.proto.name in OWN_NAMES else self.text(field.comment)
        return schema

    def _enum(self, enum: Enum) -> Schema:
        names = [value.name for value in enum.proto.value]
        lines = [f"* `{name}`: {' '.join(comment.split())}" for name, comment in zip(names, enum.values, strict=True)]
        text = "\n".join([enum.comment, "", *lines]).strip()
        return {"type": "string", "enum": names, "description": self.text(text)}

    def _entry(self, proto: Type) -> Message | None:
        """Returns the entry of a map."""
        found = self._protos.messages.get(proto.type_name.removeprefix("."))
        return found if found and found.proto.options.map_entry else None

    def _of_type(self, proto: Type) -> Schema:
        if proto.type in SCALARS:
            return SCALARS[proto.type]()
        if self._entry(proto):
            return {}
        return self.reference(proto.type_name)


def _is_needed(field: Field) -> bool:
    return field.is_required and field.proto.name != GENERATED


def _choice(members: list[Field], comment: str) -> Schema:
    """Returns that at most one of a oneof's fields is given, or exactly one if its comment says so.

    A required one may be absent too: a preview answers with the spec that it found wrong.
    """
    if len(members) < 2:
        return {}
    each = [{"required": [member.proto.json_name]} for member in members]
    if "Exactly one" in comment:
        return {"oneOf": each, "description": comment}
    choice: Schema = {"oneOf": [*each, {"not": {"anyOf": each}}]}
    return choice | ({"description": comment} if comment else {})
