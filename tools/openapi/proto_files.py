"""The protos of the API with their comments, as protoc reads them."""

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[2] / "proto"
PACKAGES = ("i2v/v1", "i2v/admin/v1")
MESSAGES, ENUMS, SERVICES = 4, 5, 6
"""Field numbers of FileDescriptorProto."""
FIELDS, NESTED, NESTED_ENUMS, ONEOFS = 2, 3, 4, 8
"""Field numbers of DescriptorProto. Those of values of enums and methods of services are FIELDS too."""
Place = tuple[int, ...]
REQUIRED = re.compile(r"\bRequired(?:\.|,(?! unless))")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message."""

    proto: FieldDescriptorProto
    comment: str

    @property
    def is_required(self) -> bool:
        """Whether its comment says that there is no request without it."""
        return REQUIRED.search(" ".join(self.comment.split())) is not None


@dataclass(frozen=True, slots=True)
class Message:
    """A message, or the entry of a map."""

    proto: DescriptorProto
    comment: str
    fields: tuple[Field, ...]
    oneofs: tuple[str, ...]
    """The comments of its oneofs; those of optional fields are not among them."""

    def members(self, oneof: int) -> tuple[Field, ...]:
        """Returns the fields of a oneof."""
        return tuple(
            each for each in self.fields if each.proto.HasField("oneof_index") and each.proto.oneof_index == oneof
        )


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum."""

    proto: EnumDescriptorProto
    comment: str
    values: tuple[str, ...]
    """The comments of its values."""


@dataclass(frozen=True, slots=True)
class Method:
    """An RPC."""

    proto: MethodDescriptorProto
    comment: str


@dataclass(frozen=True, slots=True)
class ProtoFiles:
    """Everything in the protos, by full name such as `i2v.v1.Job.State` or `i2v.v1.JobService.GetJob`."""

    messages: Mapping[str, Message]
    enums: Mapping[str, Enum]
    services: Mapping[str, str]
    """Their comments."""
    methods: Mapping[str, Method]


@cache
def proto_files() -> ProtoFiles:
    """Reads the protos of the API. Raises ValueError if they cannot be compiled."""
    messages: dict[str, Message] = {}
    enums: dict[str, Enum] = {}
    services: dict[str, str] = {}
    methods: dict[str, Method] = {}
    sources = [path for package in PACKAGES for path in sorted((PROTO / package).glob("*.proto"))]
    for file in _compiled(sources).file:
        comments = {tuple(each.path): _plain(each.leading_comments) for each in file.source_code_info.location}
        for name, place, message in _all_messages(file):
            messages[name] = _message(message, place, comments)
            enums |= _enums(name, (*place, NESTED_ENUMS), message.enum_type, comments)
        enums |= _enums(file.package, (ENUMS,), file.enum_type, comments)
        for index, service in enumerate(file.service):
            name, place = f"{file.package}.{service.name}", (SERVICES, index)
            services[name] = comments.get(place, "")
            for number, method in enumerate(service.method):
                comment = comments.get((*place, FIELDS, number), "")
                methods[f"{name}.{method.name}"] = Method(method, comment)
    return ProtoFiles(messages, enums, services, methods)


def _compiled(sources: Iterable[Path]) -> FileDescriptorSet:
    of_google = files("grpc_tools") / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "set"
        options = ["protoc", f"-I{PROTO}", f"-I{of_google}", "--include_source_info", f"--descriptor_set_out={target}"]
        if protoc.main([*options, *map(str, sources)]):
            raise ValueError("protoc could not compile the protos")
        return FileDescriptorSet.FromString(target.read_bytes())


def _all_messages(file: FileDescriptorProto) -> Iterator[tuple[str, Place, DescriptorProto]]:
    def within(name: str, place: Place, message: DescriptorProto) -> Iterator[tuple[str, Place, DescriptorProto]]:
        yield name, place, message
        for index, nested in enumerate(message.nested_type):
            yield from within(f"{name}.{nested.name}", (*place, NESTED, index), nested)

    for index, message in enumerate(file.message_type):
        yield from within(f"{file.package}.{message.name}", (MESSAGES, index), message)


def _message(message: DescriptorProto, place: Place, comments: Mapping[Place, str]) -> Message:
    fields = tuple(Field(field, comments.get((*place, FIELDS, index), "")) for index, field in enumerate(message.field))
    optional = {field.oneof_index for field in message.field if field.proto3_optional}
    named = [index for index in range(len(message.oneof_decl)) if index not in optional]
    # The oneofs of optional fields come after all others.
    oneofs = tuple(comments.get((*place, ONEOFS, index), "") for index in named)
    return Message(message, comments.get(place, ""), fields, oneofs)


def _enums(
    scope: str, place: Place, found: Iterable[EnumDescriptorProto], comments: Mapping[Place, str]
) -> dict[str, Enum]:
    made = {}
    for index, enum in enumerate(found):
        here = (*place, index)
        values = tuple(comments.get((*here, FIELDS, number), "") for number in range(len(enum.value)))
        made[f"{scope}.{enum.name}"] = Enum(enum, comments.get(here, ""), values)
    return made


def _plain(comment: str) -> str:
    """Returns a comment without the space that begins its lines."""
    return "\n".join(line.removeprefix(" ") for line in comment.splitlines()).strip()
