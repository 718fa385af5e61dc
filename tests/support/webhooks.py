"""Endpoints of webhooks, and what their deliveries are, for tests of the store."""

import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from services.orchestrator.api.authentication import digest
from services.orchestrator.domain.api_key import ApiKey, Scope
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.webhook import Delivery, Endpoint, EndpointKey, EventType, NewEndpoint
from services.orchestrator.ports.webhooks import Claimed, Failure
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON

LEASE = timedelta(seconds=60)
REFUSED = Failure(500, "HTTP 500")


def an_act(action: str = "CreateEndpoint", tenant: str = "studio", time: datetime = NOON) -> Act:
    return Act(time, f"tenants/{tenant}/keys/k", action, "webhooks/x", tenant)


async def add_admin(store: PostgresStore, tenant: str) -> None:
    """Adds the key `{tenant}-admin-key`, with every scope."""
    key = ApiKey(f"admin{tenant}", tenant, "admin", frozenset(Scope), create_time=NOON)
    await store.api_keys.create(key, digest(f"{tenant}-admin-key"), an_act("CreateKey", tenant))


async def an_endpoint(
    store: PostgresStore,
    *types: EventType,
    tenant: str = "studio",
    url: str = "https://hooks.example.com/i2v",
) -> Endpoint:
    key = EndpointKey(tenant, str(uuid.uuid4()))
    new = NewEndpoint(key=key, url=url, event_types=types or tuple(EventType), description="")
    made, _ = await store.webhook_endpoints.create(new, an_act(tenant=tenant))
    return made


async def deliveries(store: PostgresStore, endpoint: Endpoint) -> Sequence[Delivery]:
    """Returns all deliveries of an endpoint, the first one first."""
    return list(reversed(await store.webhook_endpoints.deliveries(endpoint.key, None, None, 10_000)))


async def types(store: PostgresStore, endpoint: Endpoint) -> list[str]:
    return [each.event_type for each in await deliveries(store, endpoint)]


async def claim(store: PostgresStore, now: datetime = NOON, limit: int = 100, most: int = 100) -> Sequence[Claimed]:
    return await store.webhook_deliveries.claim(limit, now, LEASE, most_per_endpoint=most)


async def deliver_all(store: PostgresStore, now: datetime = NOON) -> list[Claimed]:
    """Delivers until nothing is due; returns what was delivered, in order."""
    done: list[Claimed] = []
    while found := await claim(store, now):
        for each in found:
            assert await store.webhook_deliveries.delivered(each, now, 200)
        done += found
    return done


def data(claimed: Claimed) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(claimed.payload)
    assert content["type"] == claimed.event_type
    return dict(content["data"])
