"""The schemas of messages against what protobuf's JSON really writes and reads."""

import json
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from i2v.v1 import job_pb2
from jsonschema import Draft202012Validator

from tools.openapi.message_schemas import WELL_KNOWN, MessageSchemas, component
from tools.openapi.proto_files import PACKAGES, PROTO, proto_files

for package in PACKAGES:
    for file in (PROTO / package).glob("*.proto"):  # importing it registers its messages
        import_module(f"{package.replace('/', '.')}.{file.stem}_pb2")
SAMPLES: dict[int, Any] = {
    FieldDescriptor.TYPE_DOUBLE: 0.5,
    FieldDescriptor.TYPE_FLOAT: 0.5,
    FieldDescriptor.TYPE_BOOL: True,
    FieldDescriptor.TYPE_INT32: -7,
    FieldDescriptor.TYPE_INT64: 2**60,
    FieldDescriptor.TYPE_UINT32: 7,
    FieldDescriptor.TYPE_UINT64: 2**63,
    FieldDescriptor.TYPE_ENUM: 1,
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_BYTES: b"\xff\x00",
}
MESSAGES = sorted(name for name, each in proto_files().messages.items() if not each.proto.options.map_entry)
DEEPEST = 6


def made(name: str, depth: int = 0) -> Message:
    """Returns a message with all fields; of each oneof the last one stays."""
    message = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))()
    if name == "google.protobuf.Any":
        message.Pack(job_pb2.Money(amount_micros=1))  # type: ignore[attr-defined]
        return message
    if name == "google.protobuf.Struct":
        message.update({"a": [1, None, {"b": "c"}]})  # type: ignore[attr-defined]
    if name in WELL_KNOWN or depth > DEEPEST:
        return message
    for field in message.DESCRIPTOR.fields:
        set_sample(message, field, depth)
    return message


def set_sample(message: Message, field: FieldDescriptor, depth: int = 0) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        values = getattr(message, field.name)
        kind = field.message_type.fields_by_name["value"]
        if kind.message_type is None:
            values["key"] = SAMPLES[kind.type]
        else:
            values["key"].CopyFrom(made(kind.message_type.full_name, depth + 1))
    elif field.message_type is not None:
        sample = made(field.message_type.full_name, depth + 1)
        if field.is_repeated:
            getattr(message, field.name).append(sample)
        else:
            getattr(message, field.name).CopyFrom(sample)
    elif field.is_repeated:
        getattr(message, field.name).append(SAMPLES[field.type])
    else:
        setattr(message, field.name, SAMPLES[field.type])


def variants(name: str) -> Iterator[Message]:
    """Yields the message once for each field of each of its oneofs."""
    yield made(name)
    for oneof in made(name).DESCRIPTOR.oneofs:
        for field in oneof.fields:
            message = made(name)
            set_sample(message, field)
            yield message


@cache
def validator(name: str) -> Draft202012Validator:
    schemas = MessageSchemas(proto_files())
    root = schemas.reference(name)
    whole = {"components": {"schemas": schemas.components}}
    Draft202012Validator.check_schema(schemas.components[component(name)])
    return Draft202012Validator(whole | root)


@pytest.mark.parametrize("name", MESSAGES)
def test_what_protobuf_writes_fits_the_schema(name: str) -> None:
    for message in variants(name):
        for defaults in (True, False):
            written = json_format.MessageToDict(message, always_print_fields_with_no_presence=defaults)
            validator(name).validate(json.loads(json.dumps(written)))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("i2v.v1.Money", {"amountMicros": "a lot"}),
        ("i2v.v1.Money", {"amountMicros": 2**63}),
        ("i2v.v1.Money", {"amountMicros": 1.5}),
        ("i2v.v1.Job", {"state": "DONE"}),
        ("i2v.v1.Job", {"createTime": 5}),
        ("i2v.v1.JobSpec", {"model": "a", "duration": "five"}),
        ("i2v.v1.JobSpec", {"imageToVideo": {"image": "a", "prompt": "b"}, "textToVideo": {"prompt": "b"}}),
        ("i2v.v1.JobSpec", {"imageToVideo": {"prompt": "b"}}),
        ("i2v.v1.SubmitJobResult", {}),
    ],
)
def test_what_is_refused_does_not_fit_the_schema(name: str, wrong: dict[str, Any]) -> None:
    assert not validator(name).is_valid(wrong)


@pytest.mark.parametrize("number", [5, "5", -(2**63), str(2**63 - 1)])
def test_a_whole_number_of_64_bits_may_be_a_text_or_a_number(number: int | str) -> None:
    given = {"amountMicros": number, "currencyCode": "USD"}
    validator("i2v.v1.Money").validate(given)
    assert json_format.ParseDict(given, job_pb2.Money()).amount_micros == int(number)


def test_each_message_field_and_method_has_its_comment() -> None:
    protos = proto_files()
    fields = [(name, each.proto.name) for name in MESSAGES for each in protos.messages[name].fields if not each.comment]
    assert not fields
    assert not [name for name, method in protos.methods.items() if not method.comment]
    assert protos.messages["i2v.v1.Job"].fields[0].comment == "Resource name, `jobs/{id}`."
