"""Harmful text in every string of every request of the public and admin services, found by the proto descriptors."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from i2v.admin.v1 import (
    audit_pb2,
    blob_pb2,
    cost_pb2,
    counter_audit_pb2,
    credit_pb2,
    key_pb2,
    limit_pb2,
    operator_pb2,
    plan_pb2,
    reconcile_pb2,
    tenant_pb2,
    user_pb2,
)
from i2v.v1 import (
    asset_pb2,
    catalog_pb2,
    collection_pb2,
    job_pb2,
    live_pb2,
    provenance_pb2,
    session_pb2,
    share_pb2,
    usage_pb2,
    webhook_pb2,
)

from services.orchestrator.api.request_texts import TEXT_BYTES
from services.rpc.status_codes import Failure, from_call
from tests.support.builders import ScriptedBackend
from tests.support.request_strings import filled, strings
from tests.support.served_orchestrator import Served, caller, served, text_spec
from tests.support.webhooks import add_admin

ADMIN = (
    audit_pb2,
    blob_pb2,
    cost_pb2,
    counter_audit_pb2,
    credit_pb2,
    key_pb2,
    limit_pb2,
    operator_pb2,
    plan_pb2,
    reconcile_pb2,
    tenant_pb2,
    user_pb2,
)
FILES = (
    *(
        asset_pb2,
        catalog_pb2,
        collection_pb2,
        job_pb2,
        live_pb2,
        provenance_pb2,
        session_pb2,
        share_pb2,
        usage_pb2,
        webhook_pb2,
    ),
    *ADMIN,
)
SERVICES: list[ServiceDescriptor] = [service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()]
ADMIN_KEY = "studio-admin-key"
"""Of a tenant's admin."""
MARK = "\ue000"
"""Three bytes of UTF-8, as half of a surrogate pair is."""

BY_TOKEN = ("GetLive", "ReadFragment")
"""No key opens these."""

METHODS = [method for service in SERVICES for method in service.methods if method.name not in BY_TOKEN]
CASES = [(method, path) for method in METHODS for path in strings(method.input_type)]


def name_of(case: Any) -> str:
    if isinstance(case, MethodDescriptor):
        return case.name
    return ".".join(field.name for field in case)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("text")


@pytest.fixture
async def i2v(database: str, data: Any) -> AsyncIterator[Served]:
    (data / "operator-key").write_text("the-operators-key")

    def change(values: dict[str, Any]) -> None:
        values["operator_key_file"] = str(data / "operator-key")

    async with served(database, data, {"test": (ScriptedBackend(), 1)}, change=change) as running:
        await add_admin(running.app.store, "studio")
        yield running


async def refusal(i2v: Served, method: MethodDescriptor, request: bytes) -> Failure:
    name = f"/{method.containing_service.full_name}/{method.name}"
    service = method.containing_service
    key = "the-operators-key" if service.file.package == "i2v.admin.v1" else ""
    who = caller(key=ADMIN_KEY if service.name == "WebhookService" else key)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        if method.client_streaming:
            await i2v.channel.stream_unary(name)(iter([request]), metadata=who)
        elif method.server_streaming:
            await i2v.channel.unary_stream(name)(request, metadata=who).read()
        else:
            await i2v.channel.unary_unary(name)(request, metadata=who)
    return from_call(caught.value)


def test_there_are_requests_with_texts() -> None:
    found = {(method.name, name_of(path)) for method, path in CASES}
    assert ("SubmitJob", "spec.scene_animation.details.key") in found
    assert ("PreviewJob", "spec.image_to_video.negative_prompt") in found
    assert {"WriteAsset", "ListJobs", "GetModel", "AttachPaidCall"} <= {name for name, _ in found}


async def test_no_text_with_a_nul_gets_in_anywhere(i2v: Served) -> None:
    for method, path in CASES:
        request = GetMessageClass(method.input_type)()
        field = filled(request, path, "a\x00b")
        failure = await refusal(i2v, method, request.SerializeToString())
        found = failure.violations[0].field if failure.violations else ""
        facts = (failure.code, failure.reason, found == field or (field.endswith("[") and field in found))
        assert facts == (grpc.StatusCode.INVALID_ARGUMENT, "TEXT_MALFORMED", True), (method.name, field, failure)


async def test_no_text_without_end_gets_in_anywhere(i2v: Served) -> None:
    for method, path in CASES:
        request = GetMessageClass(method.input_type)()
        field = filled(request, path, "ß" * (TEXT_BYTES // 2 + 1))
        failure = await refusal(i2v, method, request.SerializeToString())
        facts = (failure.code, failure.reason)
        assert facts == (grpc.StatusCode.INVALID_ARGUMENT, "TEXT_TOO_LONG"), (method.name, field, failure)


async def test_no_half_of_a_surrogate_pair_gets_in_anywhere(i2v: Served) -> None:
    for method, path in CASES:
        request = GetMessageClass(method.input_type)()
        field = filled(request, path, f"a{MARK}b")
        wire = request.SerializeToString()
        assert MARK.encode() in wire
        failure = await refusal(i2v, method, wire.replace(MARK.encode(), b"\xed\xa0\x80"))
        assert failure.code is grpc.StatusCode.INVALID_ARGUMENT and failure.reason, (method.name, field, failure)


async def test_what_previewing_takes_submitting_takes(i2v: Served) -> None:
    spec = text_spec("e\u0301 \U0001f600\ufe0f \u202eabc\u202c \t\n \ufffe \x01 end")
    assert (await i2v.jobs.PreviewJob(job_pb2.PreviewJobRequest(spec=spec), metadata=caller())).admissible
    job = await i2v.submit(spec, str(uuid.uuid4()))
    assert job.spec.text_to_video.prompt == spec.text_to_video.prompt


@pytest.mark.parametrize(
    "prompt",
    [
        "\u200b",
        "\u200d\u2060\ufeff",
        "\x01\x07\x1b",
        " \t\r\n\u3000\u00a0",
        "\u202e\u202c",
        "\ufe0f\U000e0101",
        "\u3164",
    ],
)
async def test_a_prompt_that_nobody_can_see_is_empty(i2v: Served, prompt: str) -> None:
    request = job_pb2.SubmitJobRequest(spec=text_spec(prompt), request_id=str(uuid.uuid4()))
    method = job_pb2.DESCRIPTOR.services_by_name["JobService"].methods_by_name["SubmitJob"]
    failure = await refusal(i2v, method, request.SerializeToString())
    assert (failure.reason, failure.violations[0].field) == ("PROMPT_EMPTY", "spec.text_to_video.prompt")
    preview = await i2v.jobs.PreviewJob(job_pb2.PreviewJobRequest(spec=text_spec(prompt)), metadata=caller())
    assert [(each.reason, each.field) for each in preview.problems] == [("PROMPT_EMPTY", "spec.text_to_video.prompt")]
