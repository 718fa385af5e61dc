"""What the store keeps of endpoints: their secrets, their limits, and what is sent again."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from services.errors import NotFound, PreconditionFailed, RequestIdReused
from services.orchestrator.domain import next_event
from services.orchestrator.domain.webhook import (
    ENDPOINTS_MOST,
    DeliveryState,
    Endpoint,
    EndpointKey,
    EndpointState,
    EventType,
    NewEndpoint,
    PauseReason,
    moved,
    switched,
)
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, admit, numbered
from tests.support.webhooks import REFUSED, an_act, an_endpoint, claim, deliver_all, deliveries

LATER = NOON + timedelta(hours=1)


def new(number: int = 1, tenant: str = "studio", url: str = "https://hooks.example.com/secret-path") -> NewEndpoint:
    key = EndpointKey(tenant, f"30000000-0000-4000-8000-{number:012}")
    return NewEndpoint(key=key, url=url, event_types=(EventType.JOB_SUBMITTED,), description="")


async def rotate(
    store: PostgresStore, endpoint: Endpoint, overlap: timedelta, request_id: str = "", time: datetime = NOON
) -> tuple[Endpoint, str]:
    act = an_act("RotateSecret", time=time)
    return await store.webhook_endpoints.rotate(endpoint.key, request_id or str(uuid.uuid4()), overlap, act)


async def test_a_secret_signs_from_its_rotation_on_and_the_one_before_until_the_overlap_ends(
    store: PostgresStore,
) -> None:
    made, first = await store.webhook_endpoints.create(new(), an_act())
    await admit(store, numbered(1))
    [claimed] = await claim(store)
    assert claimed.secrets == (first,)
    assert first not in repr(claimed) and claimed.payload not in repr(claimed)
    _, second = await rotate(store, made, timedelta(hours=1))
    await admit(store, numbered(2))
    [claimed] = await claim(store)
    assert claimed.secrets == (second, first)
    await admit(store, numbered(3))
    [*_, claimed] = await claim(store, LATER)
    assert claimed.secrets == (second,)
    await rotate(store, made, timedelta())
    await admit(store, numbered(4))
    [*_, claimed] = await claim(store, LATER + timedelta(hours=1))
    assert len(claimed.secrets) == 1 and claimed.secrets[0] not in (first, second)


async def test_the_database_has_no_secret_and_the_audit_log_no_path(store: PostgresStore) -> None:
    made, secret = await store.webhook_endpoints.create(new(), an_act())
    await store.webhook_endpoints.change(
        made.key, lambda each: replace(each, description="x"), an_act("UpdateEndpoint")
    )
    for _ in range(2):  # the answer to the first call was lost
        await store.webhook_endpoints.delete(made.key, an_act("DeleteEndpoint"))
    entries = await store.audit_log.page(tenant="studio", before=None, limit=10)
    assert [entry.act.action for entry in entries] == ["DeleteEndpoint", "UpdateEndpoint", "CreateEndpoint"]
    assert entries[-1].after["url"] == "https://hooks.example.com"
    assert "secret-path" not in str(entries) and secret not in str(entries)
    async with store.database.reading() as connection:
        rows = (await connection.execute(sa.text("SELECT * FROM webhook_endpoints"))).all()
    assert secret not in str(rows) and "secret-path" not in str(rows), "a deleted endpoint keeps no URL"


async def test_a_repeat_returns_the_same_endpoint_without_its_secret(store: PostgresStore) -> None:
    made, _ = await store.webhook_endpoints.create(new(), an_act())
    assert await store.webhook_endpoints.create(new(), an_act()) == (made, "")
    with pytest.raises(RequestIdReused):
        await store.webhook_endpoints.create(new(url="https://other.example.com/"), an_act())
    other, secret = await store.webhook_endpoints.create(new(tenant="story"), an_act(tenant="story"))
    assert secret and other.number != made.number
    await store.webhook_endpoints.delete(made.key, an_act())
    with pytest.raises(RequestIdReused):
        await store.webhook_endpoints.create(new(), an_act())
    with pytest.raises(NotFound):
        await store.webhook_endpoints.get(made.key)


async def test_a_repeated_rotation_returns_the_same_secret_and_the_one_before_goes_on_to_sign(
    store: PostgresStore,
) -> None:
    made, first = await store.webhook_endpoints.create(new(), an_act())
    rotated = await rotate(store, made, timedelta(hours=2), "one")
    assert await rotate(store, made, timedelta(hours=2), "one", LATER) == rotated
    await admit(store, numbered(1))
    [claimed] = await claim(store, LATER)
    assert claimed.secrets == (rotated[1], first)
    assert [entry.act.action for entry in await store.audit_log.page(tenant="studio", before=None, limit=10)] == [
        "RotateSecret",
        "CreateEndpoint",
    ]
    _, third = await rotate(store, made, timedelta(), "two")
    assert third not in (first, rotated[1])


async def test_a_test_that_failed_is_tried_at_once_when_it_is_asked_for_again(store: PostgresStore) -> None:
    endpoint = await an_endpoint(store)
    await store.webhook_endpoints.test(endpoint.key, an_act("TestEndpoint"))
    [claimed] = await claim(store)
    assert (await store.webhook_endpoints.test(endpoint.key, an_act("TestEndpoint"))).id == claimed.id
    assert await claim(store) == []  # one that is on its way is not sent twice
    await store.webhook_deliveries.failed(claimed, REFUSED, NOON, LATER, hold_until=LATER)
    waiting = await store.webhook_endpoints.test(endpoint.key, an_act("TestEndpoint"))
    assert (waiting.id, waiting.next_try_time) == (claimed.id, NOON)
    assert [each.id for each in await claim(store)] == [claimed.id]


async def test_many_at_the_same_time_make_no_more_than_the_limit(store: PostgresStore) -> None:
    making = (store.webhook_endpoints.create(new(number), an_act()) for number in range(ENDPOINTS_MOST + 5))
    ended = await asyncio.gather(*making, return_exceptions=True)
    assert len([each for each in ended if isinstance(each, PreconditionFailed)]) == 5
    assert len(await store.webhook_endpoints.page("studio", None, 100)) == ENDPOINTS_MOST


async def test_named_deliveries_are_sent_again_under_their_ids_and_all_or_none(store: PostgresStore) -> None:
    endpoint, other = await an_endpoint(store), await an_endpoint(store)
    job = await admit(store, numbered(1))
    await store.jobs.record(job.id, next_event.cancel)
    sent = [each for each in await deliver_all(store) if each.endpoint == endpoint.number]
    ids = [each.id for each in sent]
    [others, *_] = [each.id for each in await deliveries(store, other)]
    for wrong in (others, "evt_0", "evt_" + "0" * 32, "0" * 32):
        with pytest.raises(NotFound):
            await store.webhook_endpoints.replay(endpoint.key, [*ids, wrong], an_act("ReplayDeliveries"))
    assert await claim(store) == []
    assert await store.webhook_endpoints.replay(endpoint.key, ids, an_act("ReplayDeliveries")) == 2
    again = await deliver_all(store)
    assert [(each.id, each.payload, each.tries) for each in again] == [(each.id, each.payload, 1) for each in sent]


async def test_dead_deliveries_are_sent_again_since_a_time_the_oldest_first(store: PostgresStore) -> None:
    endpoint = await an_endpoint(store, EventType.JOB_SUBMITTED)
    for number in range(4):
        await admit(store, numbered(number, create_time=NOON + timedelta(minutes=number)))
    at = NOON + timedelta(minutes=9)
    for each in await claim(store, at):
        await store.webhook_deliveries.dead(each, REFUSED, at)
    assert (await store.webhook_endpoints.undelivered(endpoint.number)).dead == 4
    since, act = NOON + timedelta(minutes=1), an_act("ReplayDeliveries", time=at)
    assert await store.webhook_endpoints.replay_dead(endpoint.key, since, act, limit=2) == 2
    assert [each.state for each in await deliveries(store, endpoint)] == [
        DeliveryState.DEAD,
        DeliveryState.WAITING,
        DeliveryState.WAITING,
        DeliveryState.DEAD,
    ]
    assert await store.webhook_endpoints.replay_dead(endpoint.key, since, act, limit=2) == 1
    assert await store.webhook_endpoints.replay_dead(endpoint.key, since, act, limit=2) == 0


async def test_an_endpoint_that_is_activated_begins_as_if_it_had_not_failed(store: PostgresStore) -> None:
    endpoint = await an_endpoint(store, EventType.JOB_SUBMITTED)
    await admit(store, numbered(1))
    [claimed] = await claim(store)
    await store.webhook_deliveries.failed(claimed, REFUSED, NOON, NOON, hold_until=LATER)
    await store.webhook_deliveries.pause(claimed, PauseReason.FAILING, NOON)
    paused = await store.webhook_endpoints.get(endpoint.key)
    assert (paused.state, paused.pause_reason, paused.pause_time) == (EndpointState.PAUSED, PauseReason.FAILING, NOON)
    with pytest.raises(PreconditionFailed):
        await store.webhook_endpoints.test(endpoint.key, an_act("TestEndpoint"))
    active = await store.webhook_endpoints.change(
        endpoint.key, lambda each: switched(each, EndpointState.ACTIVE), an_act("UpdateEndpoint")
    )
    assert (active.state, active.failing_since, active.failures, active.pause_reason) == (
        EndpointState.ACTIVE,
        None,
        0,
        None,
    )
    [again] = await claim(store)
    assert (again.id, again.tries) == (claimed.id, 1)


@pytest.mark.parametrize(
    "repair", [lambda each: switched(each, EndpointState.ACTIVE), lambda each: moved(each, "https://new.example.com/")]
)
async def test_what_waits_is_sent_at_once_when_a_failing_endpoint_is_repaired(
    store: PostgresStore, repair: Callable[[Endpoint], Endpoint]
) -> None:
    endpoint = await an_endpoint(store, EventType.JOB_SUBMITTED)
    await admit(store, numbered(1))
    [claimed] = await claim(store)
    await store.webhook_deliveries.failed(claimed, REFUSED, NOON, LATER, hold_until=LATER)
    await store.webhook_endpoints.change(
        endpoint.key, lambda each: replace(each, description="x"), an_act("UpdateEndpoint")
    )
    assert await claim(store) == []
    await store.webhook_endpoints.change(endpoint.key, repair, an_act("UpdateEndpoint"))
    assert [each.id for each in await claim(store)] == [claimed.id]


async def test_a_deleted_tenant_has_no_endpoints_and_one_under_a_legal_hold_keeps_its_deliveries(
    store: PostgresStore,
) -> None:
    await an_endpoint(store)
    held = await an_endpoint(store, tenant="story")
    await admit(store, numbered(1, tenant="story"))
    await store.legal_holds.set("story", "a case", an_act("SetLegalHold", "story"))
    await store.webhook_endpoints.delete(held.key, an_act(tenant="story"))
    assert (await store.old_deliveries.due(LATER)).count == 0
    assert await store.old_deliveries.remove(LATER, limit=10) == 0
    await store.legal_holds.clear("story", an_act("ClearLegalHold", "story"))
    assert await store.old_deliveries.remove(LATER, limit=10) == 1
    await store.tenants.delete(
        "studio",
        lambda tenant, _: replace(tenant, state=type(tenant.state)("deleted"), delete_time=NOON),
        an_act("DeleteTenant"),
    )
    assert await store.webhook_endpoints.page("studio", None, 10) == []
