"""Endpoints of webhooks through the real server: who may make them, which are refused, and where secrets are shown."""

import json
import logging
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.admin.v1 import audit_pb2, audit_pb2_grpc
from i2v.v1 import webhook_pb2, webhook_pb2_grpc

from services.orchestrator.domain.webhook import EventType
from services.rpc.status_codes import Failure, from_call
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served, served, text_spec
from tests.support.webhooks import add_admin

URL = "https://hooks.example.com/i2v?token=of-the-receiver"


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as running:
        for tenant in ("studio", "story"):
            await add_admin(running.app.store, tenant)
        yield running


async def call(i2v: Served, method: str, tenant: str = "studio", key: str = "", **fields: Any) -> Any:
    stub: Any = webhook_pb2_grpc.WebhookServiceStub(i2v.channel)
    request = getattr(webhook_pb2, f"{method}Request")(**fields)
    metadata = (("authorization", f"Bearer {key or tenant + '-admin-key'}"), ("i2v-user", "ann"))
    return await getattr(stub, method)(request, metadata=metadata)


async def refused(i2v: Served, method: str, **fields: Any) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(i2v, method, **fields)
    return from_call(caught.value)


async def made(i2v: Served, tenant: str = "studio", **fields: Any) -> Any:
    given = {"request_id": str(uuid.uuid4()), "url": URL} | fields
    return await call(i2v, "CreateEndpoint", tenant, **given)


async def test_an_endpoint_is_made_changed_and_deleted(i2v: Served) -> None:
    endpoint = (await made(i2v, description="Our jobs")).endpoint
    assert endpoint.url == URL and "job.fragment_ready" not in endpoint.event_types
    changed = await call(
        i2v,
        "UpdateEndpoint",
        endpoint=webhook_pb2.WebhookEndpoint(
            name=endpoint.name, event_types=["job.failed"], state=webhook_pb2.WebhookEndpoint.DISABLED
        ),
        update_mask={"paths": ["event_types", "state"]},
    )
    assert (list(changed.event_types), changed.url, changed.description) == (["job.failed"], URL, "Our jobs")
    assert changed.state == webhook_pb2.WebhookEndpoint.DISABLED
    assert (await call(i2v, "GetEndpoint", name=endpoint.name)) == changed
    assert (await refused(i2v, "TestEndpoint", name=endpoint.name)).reason == "WEBHOOK_NOT_ACTIVE"
    await call(i2v, "DeleteEndpoint", name=endpoint.name)
    assert (await refused(i2v, "GetEndpoint", name=endpoint.name)).code == grpc.StatusCode.NOT_FOUND
    assert list((await call(i2v, "ListEndpoints")).endpoints) == []


async def test_a_secret_is_shown_once_and_another_one_by_a_rotation(
    i2v: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    request_id = str(uuid.uuid4())
    first = await made(i2v, request_id=request_id)
    again = await made(i2v, request_id=request_id)
    assert first.secret.startswith("whsec_") and len(first.secret) == 50
    assert (again.endpoint, again.secret) == (first.endpoint, "")
    rotation = {"name": first.endpoint.name, "overlap": Duration(seconds=60), "request_id": str(uuid.uuid4())}
    rotated = await call(i2v, "RotateSecret", **rotation)
    assert await call(i2v, "RotateSecret", **rotation) == rotated
    without = await refused(i2v, "RotateSecret", name=first.endpoint.name)
    assert [each.field for each in without.violations] == ["request_id"]
    assert rotated.secret.startswith("whsec_") and rotated.secret != first.secret
    lasts = rotated.endpoint.old_secret_expire_time.seconds - rotated.endpoint.secret_create_time.seconds
    assert lasts == 60
    shown = [
        await call(i2v, "GetEndpoint", name=first.endpoint.name),
        await call(i2v, "ListEndpoints"),
        await call(i2v, "TestEndpoint", name=first.endpoint.name),
        await call(i2v, "ListDeliveries", parent=first.endpoint.name),
        await audit(i2v),
    ]
    said = "".join(map(str, shown)) + caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert "whsec_" not in said
    assert "of-the-receiver" not in str(shown[-1]) + caplog.text  # a receiver may keep a secret in its URL
    assert "of-the-receiver" not in "".join(str(record.__dict__) for record in caplog.records)


async def audit(i2v: Served) -> Any:
    stub: Any = audit_pb2_grpc.AuditServiceStub(i2v.channel)
    metadata = (("authorization", "Bearer studio-admin-key"),)
    log = await stub.ListAuditEntries(audit_pb2.ListAuditEntriesRequest(), metadata=metadata)
    assert {"CreateEndpoint", "RotateSecret", "TestEndpoint"} <= {entry.action for entry in log.entries}
    return log


async def test_only_an_admin_of_the_tenant_sees_and_changes_its_endpoints(i2v: Served) -> None:
    endpoint = (await made(i2v)).endpoint
    delivery = (await call(i2v, "TestEndpoint", name=endpoint.name)).name
    for method, fields in (
        ("GetEndpoint", {"name": endpoint.name}),
        ("UpdateEndpoint", {"endpoint": endpoint, "update_mask": {"paths": ["url"]}}),
        ("DeleteEndpoint", {"name": endpoint.name}),
        ("RotateSecret", {"name": endpoint.name, "request_id": str(uuid.uuid4())}),
        ("TestEndpoint", {"name": endpoint.name}),
        ("ListDeliveries", {"parent": endpoint.name}),
        ("ReplayDeliveries", {"parent": endpoint.name, "deliveries": [delivery]}),
        ("ReplayDeliveries", {"parent": endpoint.name, "since": Timestamp(seconds=1)}),
    ):
        other = await refused(i2v, method, tenant="story", **fields)
        assert other.code == grpc.StatusCode.NOT_FOUND, method
        without = await refused(i2v, method, key="studio-key", **fields)
        assert without.reason == "SCOPE_MISSING", method
    assert list((await call(i2v, "ListEndpoints", "story")).endpoints) == []
    own = (await made(i2v, "story")).endpoint
    stolen = delivery.replace(endpoint.name, own.name)
    failure = await refused(i2v, "ReplayDeliveries", tenant="story", parent=own.name, deliveries=[stolen])
    assert failure.code == grpc.StatusCode.NOT_FOUND
    failure = await refused(i2v, "ReplayDeliveries", tenant="story", parent=own.name, deliveries=[delivery])
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"url": ""}, "WEBHOOK_URL_MALFORMED"),
    ({"url": "http://hooks.example.com"}, "WEBHOOK_URL_MALFORMED"),
    ({"url": "https://hooks.example.com/" + "a" * 100_000}, "TEXT_TOO_LONG"),
    ({"url": "https://hooks.example.com/" + "a" * 2_000}, "WEBHOOK_URL_MALFORMED"),
    ({"url": "https://10.0.0.1/"}, "WEBHOOK_URL_NOT_PUBLIC"),
    ({"event_types": [f"job.{number}" for number in range(1000)]}, "EVENT_TYPES_TOO_MANY"),
    ({"event_types": ["job.succeeded", "job.done"]}, "EVENT_TYPE_UNKNOWN"),
    ({"event_types": ["webhook.test"]}, "EVENT_TYPE_UNKNOWN"),
    ({"description": "a" * 201}, "WEBHOOK_DESCRIPTION_MALFORMED"),
    ({"description": "two\nlines"}, "WEBHOOK_DESCRIPTION_MALFORMED"),
    ({"request_id": "7"}, "REQUEST_ID_MALFORMED"),
]


async def test_what_cannot_be_an_endpoint_is_refused_in_a_short_sentence(i2v: Served) -> None:
    for fields, reason in REFUSED:
        given = {"request_id": str(uuid.uuid4()), "url": URL} | fields
        failure = await refused(i2v, "CreateEndpoint", **given)
        assert failure.code == grpc.StatusCode.INVALID_ARGUMENT and reason in str(failure)
        assert len(failure.message) < 500
    assert list((await call(i2v, "ListEndpoints")).endpoints) == []


async def test_a_tenant_has_at_most_twenty_endpoints(i2v: Served) -> None:
    for _ in range(20):
        last = (await made(i2v)).endpoint
    failure = await refused(i2v, "CreateEndpoint", request_id=str(uuid.uuid4()), url=URL)
    assert failure.reason == "WEBHOOKS_TOO_MANY"
    await call(i2v, "DeleteEndpoint", name=last.name)
    await made(i2v)
    page = await call(i2v, "ListEndpoints", page_size=15)
    rest = await call(i2v, "ListEndpoints", page_size=15, page_token=page.next_page_token)
    assert len({each.name for each in [*page.endpoints, *rest.endpoints]}) == 20


async def test_deliveries_come_in_pages_by_state_and_dead_ones_are_replayed(i2v: Served) -> None:
    endpoint = (await made(i2v, event_types=list(EventType))).endpoint
    test = await call(i2v, "TestEndpoint", name=endpoint.name)
    assert (await call(i2v, "TestEndpoint", name=endpoint.name)).name == test.name  # it waits
    for _ in range(3):
        await i2v.submit(text_spec("a wave"))
    waiting = webhook_pb2.WebhookDelivery.WAITING
    page = await call(i2v, "ListDeliveries", parent=endpoint.name, page_size=2)
    assert len(page.deliveries) == 2 and page.next_page_token
    failure = await refused(i2v, "ListDeliveries", parent=endpoint.name, page_token=page.next_page_token, state=waiting)
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT
    replayed = await call(i2v, "ReplayDeliveries", parent=endpoint.name, deliveries=[test.name, test.name])
    assert replayed.replayed == 1
    since = Timestamp(seconds=1)
    assert (await call(i2v, "ReplayDeliveries", parent=endpoint.name, since=since)).replayed == 0  # none is dead
    for fields in ({}, {"since": since, "deliveries": [test.name]}, {"deliveries": [test.name] * 101}):
        assert "REPLAY_MALFORMED" in str(await refused(i2v, "ReplayDeliveries", parent=endpoint.name, **fields))


async def test_the_command_makes_shows_tests_and_deletes_a_webhook(i2v: Served, tmp_path: Path) -> None:
    command = Command(i2v.address, tmp_path)

    async def run(*arguments: str, code: int = 0) -> str:
        ended = await command(*arguments, key="studio-admin-key")
        assert ended.code == code, ended.err
        return ended.out if code == 0 else ended.err

    secret = await run("webhooks", "create", URL, "--event", "job.succeeded", "--description", "Ends")
    assert secret.startswith("whsec_") and secret.count("\n") == 1
    name = json.loads(await run("webhooks", "list", "--json"))["name"]
    assert "job.succeeded" in await run("webhooks", "show", name.removeprefix("webhooks/"))
    assert "disabled" in await run("webhooks", "update", name, "--disable")
    assert "ACTIVE" in await run("webhooks", "test", name, code=3)
    assert "active" in await run("webhooks", "update", name, "--activate", "--event", "job.failed")
    delivery = (await run("webhooks", "test", name)).split()[0]
    assert delivery in await run("webhooks", "deliveries", name, "--state", "waiting")
    assert "1 deliveries" in await run("webhooks", "replay", name, delivery)
    assert "0 deliveries" in await run("webhooks", "replay", name, "--dead-since", "1d")
    rotated = await run("webhooks", "rotate", name, "--overlap", "0s")
    assert rotated.startswith("whsec_") and rotated != secret
    await run("webhooks", "rm", name)
    assert "There are no webhooks." in (await command("webhooks", "list", key="studio-admin-key")).err
