"""Errors on the command line name its options and commands, not the API's fields and methods."""

import click
import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from i2v.v1 import job_pb2

from i2v_client.errors import InvalidRequest
from i2v_client.failure import Failure
from services.client import error_messages
from services.client.job_commands import generate
from services.errors import Violation

OPERATIONS = job_pb2.JobSpec.DESCRIPTOR.oneofs_by_name["operation"].fields
DETAILS = job_pb2.JobSpec.DESCRIPTOR.fields_by_name["details"]
WITHOUT_OPTION = {"spec.timeout", "spec.details.custom_metadata"}
NOT_IN_SPEC = {"--out", "--detach", "--json", "--operation", "--quote", "--preview", "--graphics", "--play"}
OPTIONS = {option for each in generate.params if isinstance(each, click.Option) for option in each.opts}


def paths() -> list[str]:
    """The path of each field of a spec, and of each field of its operations and of its details."""
    found = []
    for field in job_pb2.JobSpec.DESCRIPTOR.fields:
        inner: list[FieldDescriptor] = list(field.message_type.fields) if field in (*OPERATIONS, DETAILS) else []
        found += [f"spec.{field.name}.{each.name}" for each in inner] or [f"spec.{field.name}"]
    return found


def shown(field: str, description: str = "is wrong") -> str:
    violations = (Violation(field, description),)
    failure = Failure(grpc.StatusCode.INVALID_ARGUMENT, f"{field}: {description}", violations=violations)
    [line] = error_messages.lines(InvalidRequest(failure), "far:1")
    return line


def test_every_field_of_a_spec_is_shown_as_its_option() -> None:
    found = {path: shown(path).partition(":")[0] for path in paths()}
    assert {path for path, option in found.items() if option == path} == WITHOUT_OPTION
    assert set(found.values()) - WITHOUT_OPTION == OPTIONS - NOT_IN_SPEC


@pytest.mark.parametrize("field", ["operation", *(each.name for each in OPERATIONS)])
def test_an_operation_that_a_model_does_not_have_is_shown_as_its_option(field: str) -> None:
    assert shown(f"spec.{field}") == "--operation: is wrong"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("'nano' makes exact sizes; give spec.size", "'nano' makes exact sizes; give --size"),
        ("give spec.image_to_video.negative_prompt.", "give --negative."),
        ("is 'x'; ListModels tells what each can do", "is 'x'; `i2v models` tells what each can do"),
        ("a model has its price, and PreviewJob tells it", "a model has its price, and `i2v preview` tells it"),
        ("a spec. Another one", "a spec. Another one"),
    ],
)
def test_the_text_of_an_error_names_options_and_commands(text: str, line: str) -> None:
    assert shown("spec.resolution", text) == f"--resolution: {line}"


def test_an_entry_of_a_map_keeps_its_key() -> None:
    assert shown('spec.scene_animation.details["Ann"]') == '--detail["Ann"]: is wrong'
