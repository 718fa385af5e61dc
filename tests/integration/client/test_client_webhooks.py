"""Endpoints of webhooks through the client, with a real server."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from i2v.v1 import webhook_pb2

from i2v_client import AsyncClient, InvalidRequest, NotFound, Unauthenticated
from services.orchestrator.api.authentication import digest
from services.orchestrator.domain.api_key import ApiKey, Scope
from tests.support.builders import NOON, ScriptedBackend
from tests.support.served_orchestrator import Served, served
from tests.support.webhooks import an_act

Endpoint, Delivery = webhook_pb2.WebhookEndpoint, webhook_pb2.WebhookDelivery


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as running:
        key = ApiKey("admin", "studio", "admin", frozenset(Scope), create_time=NOON)
        await running.app.store.api_keys.create(key, digest("admin-key"), an_act(tenant="studio"))
        yield running


async def test_an_endpoint_lives_through_the_client(i2v: Served) -> None:
    async with AsyncClient(i2v.address, "admin-key") as client:
        made = await client.webhooks.create("https://hooks.example.com/i2v", ["job.succeeded"], description="studio")
        name = made.endpoint.name
        assert made.secret.startswith("whsec_") and [e.name async for e in client.webhooks.endpoints()] == [name]
        rotated = await client.webhooks.rotate(name, timedelta(hours=1))
        assert rotated.secret not in ("", made.secret) and rotated.endpoint.HasField("old_secret_expire_time")
        tried = await client.webhooks.test(name)
        assert [each.name async for each in client.webhooks.deliveries(name)] == [tried.name]
        assert [each async for each in client.webhooks.deliveries(name, Delivery.DEAD)] == []
        assert await client.webhooks.replay(name, dead_since=datetime.now(UTC) - timedelta(hours=1)) == 0
        changed = await client.webhooks.update(Endpoint(name=name, state=Endpoint.DISABLED), ["state"])
        assert changed.state == Endpoint.DISABLED == (await client.webhooks.get(name)).state
        await client.webhooks.delete(name)
        with pytest.raises(NotFound):
            await client.webhooks.get(name)


async def test_what_is_refused_is_an_error_with_its_reason(i2v: Served) -> None:
    async with AsyncClient(i2v.address, "admin-key") as client, AsyncClient(i2v.address, "poor-key") as other:
        with pytest.raises(InvalidRequest) as refused:
            await client.webhooks.create("https://127.0.0.1/")
        assert [each.reason for each in refused.value.violations] == ["WEBHOOK_URL_NOT_PUBLIC"]
        with pytest.raises(InvalidRequest) as refused:
            await client.webhooks.create("https://hooks.example.com/", ["job.exploded"])
        assert [each.field for each in refused.value.violations] == ["event_types"]
        with pytest.raises(Unauthenticated):
            await other.webhooks.create("https://hooks.example.com/")
