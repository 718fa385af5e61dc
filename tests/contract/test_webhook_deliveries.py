"""Which deliveries are sent next, and how tries end."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa

from services.orchestrator.domain import next_event
from services.orchestrator.domain.event import Progressed, Started
from services.orchestrator.domain.webhook import AT_ONCE, DeliveryState, EndpointState, EventType, PauseReason
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, admit, numbered
from tests.support.log_capture import captured
from tests.support.webhooks import (
    LEASE,
    REFUSED,
    an_act,
    an_endpoint,
    claim,
    deliver_all,
    deliveries,
)

LATER = NOON + timedelta(minutes=10)


async def jobs_that_end(store: PostgresStore, *numbers: int) -> None:
    for number in numbers:
        job = await admit(store, numbered(number))
        await store.jobs.record(job.id, next_event.cancel)


async def test_deliveries_of_a_job_are_sent_in_order_and_those_of_others_at_the_same_time(store: PostgresStore) -> None:
    await an_endpoint(store)
    await jobs_that_end(store, 1, 2)
    first = await claim(store)
    assert [each.event_type for each in first] == ["job.submitted", "job.submitted"]
    assert await claim(store) == []  # the next of each waits for the one that is on its way
    assert await store.webhook_deliveries.delivered(first[0], NOON, 200)
    assert [each.event_type for each in await claim(store)] == ["job.cancelled"]


async def test_a_claim_whose_lease_is_over_is_sent_again_under_the_same_id(store: PostgresStore) -> None:
    await an_endpoint(store)
    await jobs_that_end(store, 1)
    [lost] = await claim(store)
    assert await claim(store, NOON + LEASE - timedelta(seconds=1)) == []
    [again] = await claim(store, NOON + LEASE)
    assert (again.id, again.payload, again.tries) == (lost.id, lost.payload, 2)
    assert not await store.webhook_deliveries.delivered(lost, NOON, 200)
    assert not await store.webhook_deliveries.failed(lost, REFUSED, NOON, LATER, hold_until=None)
    assert await store.webhook_deliveries.delivered(again, NOON, 200)
    assert not await store.webhook_deliveries.delivered(again, NOON, 200)


async def test_a_failed_delivery_and_all_after_it_wait_for_the_next_try(store: PostgresStore) -> None:
    endpoint = await an_endpoint(store)
    await jobs_that_end(store, 1, 2)
    [failing, other] = await claim(store)
    assert await store.webhook_deliveries.failed(failing, REFUSED, NOON, LATER, hold_until=None)
    assert await store.webhook_deliveries.delivered(other, NOON, 200)
    found = await store.webhook_endpoints.get(endpoint.key)
    assert (found.failing_since, found.failures) == (None, 0)  # it took the other one
    assert [each.subject for each in await deliveries(store, endpoint) if each.tries == 0]
    assert len(await deliver_all(store)) == 1  # the end of the other job
    [again] = await claim(store, LATER)
    assert (again.id, again.tries) == (failing.id, 2)
    await store.webhook_deliveries.delivered(again, LATER, 204)
    assert [each.event_type for each in await deliver_all(store, LATER)] == ["job.cancelled"]


async def test_a_dead_delivery_lets_the_next_of_its_subject_go(store: PostgresStore) -> None:
    endpoint = await an_endpoint(store)
    await jobs_that_end(store, 1)
    [failing] = await claim(store)
    assert await store.webhook_deliveries.dead(failing, REFUSED, NOON)
    [delivery, _] = await deliveries(store, endpoint)
    assert (delivery.state, delivery.last_status, delivery.last_error) == (DeliveryState.DEAD, 500, "HTTP 500")
    assert [each.event_type for each in await deliver_all(store)] == ["job.cancelled"]
    assert [
        each.id for each in await store.webhook_endpoints.deliveries(endpoint.key, DeliveryState.DEAD, None, 9)
    ] == [failing.id]


async def test_a_failing_endpoint_is_tried_one_at_a_time_and_not_at_all_while_it_is_held(store: PostgresStore) -> None:
    endpoint = await an_endpoint(store, EventType.JOB_SUBMITTED)
    await jobs_that_end(store, 1, 2, 3)
    [first, *others] = await claim(store, most=2)
    assert len(others) == 1
    assert await claim(store, most=2) == []
    soon = NOON + timedelta(seconds=5)
    await store.webhook_deliveries.failed(first, REFUSED, NOON, soon, hold_until=soon)
    await store.webhook_deliveries.failed(others[0], REFUSED, NOON, soon, hold_until=soon)
    found = await store.webhook_endpoints.get(endpoint.key)
    assert (found.failing_since, found.failures) == (NOON, 1)  # both were on their way before the first had failed
    assert await claim(store) == []
    [probe] = await claim(store, soon)
    assert (probe.failing_since, probe.failures) == (NOON, 1)
    assert await claim(store, soon) == []
    await store.webhook_deliveries.delivered(probe, soon, 200)
    assert len(await claim(store, soon)) == 2


async def test_processes_share_deliveries_and_the_limit_of_an_endpoint_holds_over_all(store: PostgresStore) -> None:
    for _ in range(5):
        await an_endpoint(store, EventType.JOB_SUBMITTED)
    await jobs_that_end(store, *range(10))
    claimed = [each for one in await asyncio.gather(*(claim(store, most=3) for _ in range(8))) for each in one]
    assert len({each.number for each in claimed}) == len(claimed) > 0
    claimed += [each for _ in range(5) for each in await claim(store, most=3)]
    assert sorted(Counter(each.endpoint for each in claimed).values()) == [3] * 5


async def test_the_oldest_are_sent_first_and_a_full_endpoint_keeps_no_other_from_its_turn(store: PostgresStore) -> None:
    full, other = await an_endpoint(store, EventType.JOB_SUBMITTED), await an_endpoint(store, EventType.JOB_CANCELLED)
    await jobs_that_end(store, 1, 2, 3)
    assert [each.endpoint for each in await claim(store, limit=1, most=1)] == [full.number]
    assert [each.endpoint for each in await claim(store, limit=1, most=1)] == [other.number]
    assert await claim(store, most=1) == []


async def test_what_is_released_is_due_at_once_and_was_not_tried(store: PostgresStore) -> None:
    await an_endpoint(store)
    await jobs_that_end(store, 1)
    [claimed] = await claim(store)
    await store.webhook_deliveries.release(claimed, NOON)
    [again] = await claim(store)
    assert (again.id, again.tries) == (claimed.id, 1)


async def test_a_paused_endpoint_keeps_its_events_and_gets_them_when_it_is_active_again(store: PostgresStore) -> None:
    endpoint = await an_endpoint(store, EventType.JOB_SUBMITTED)
    await jobs_that_end(store, 1)
    [claimed] = await claim(store)
    await store.webhook_deliveries.release(claimed, NOON)
    assert await store.webhook_deliveries.pause(claimed, PauseReason.FAILING, NOON)
    assert not await store.webhook_deliveries.pause(claimed, PauseReason.GONE, NOON)
    await jobs_that_end(store, 2)
    assert await claim(store) == []
    backlog = await store.webhook_deliveries.backlog(NOON)
    assert (backlog.waiting, backlog.dead, backlog.paused_endpoints) == (0, 0, 1)
    await store.webhook_endpoints.change(
        endpoint.key,
        lambda before: replace(before, state=EndpointState.ACTIVE, pause_reason=None, pause_time=None),
        an_act(),
    )
    backlog = await store.webhook_deliveries.backlog(NOON)
    assert (backlog.waiting, backlog.oldest_time, backlog.paused_endpoints) == (2, NOON, 0)
    assert len(await deliver_all(store)) == 2


async def test_what_the_url_before_answers_does_not_count_against_the_new_one(store: PostgresStore) -> None:
    endpoint = await an_endpoint(store, EventType.JOB_SUBMITTED)
    await jobs_that_end(store, 1)
    [claimed] = await claim(store)
    moved = await store.webhook_endpoints.change(
        endpoint.key, lambda before: replace(before, url="https://new.example.com/"), an_act("UpdateEndpoint")
    )
    assert await store.webhook_deliveries.failed(claimed, REFUSED, NOON, NOON, hold_until=LATER)
    assert not await store.webhook_deliveries.pause(claimed, PauseReason.GONE, NOON)
    assert await store.webhook_endpoints.get(endpoint.key) == moved
    assert [each.url for each in await claim(store)] == ["https://new.example.com/"]


async def test_one_that_this_release_cannot_read_does_not_hold_up_the_others(store: PostgresStore) -> None:
    await an_endpoint(store, EventType.JOB_SUBMITTED)
    await jobs_that_end(store, 1, 2)
    async with store.database.writing() as connection:
        await connection.execute(
            sa.text(
                "UPDATE webhook_deliveries SET event_type = 'asset.created' WHERE number IN "
                "(SELECT min(number) FROM webhook_deliveries)"
            )
        )
    with captured() as log:
        [claimed] = await claim(store)
    assert claimed.event_type == "job.submitted"
    assert any("a webhook cannot be read" in line for line in log.json)


async def test_one_receiver_with_much_to_take_does_not_count_as_late(store: PostgresStore) -> None:
    await an_endpoint(store, EventType.JOB_SUBMITTED)
    await jobs_that_end(store, *range(AT_ONCE + 2))
    assert (await store.webhook_deliveries.backlog(LATER)).due_time == NOON  # no process has taken any
    soon = LATER - LEASE / 2
    [first, *_] = await claim(store, soon, most=AT_ONCE)
    assert (await store.webhook_deliveries.backlog(LATER)).due_time is None  # it has as many as it may
    await store.webhook_deliveries.delivered(first, LATER, 200)
    assert (await store.webhook_deliveries.backlog(LATER)).due_time == soon


async def test_what_waits_for_a_deleted_endpoint_is_not_sent_and_is_removed(store: PostgresStore) -> None:
    endpoint, kept = await an_endpoint(store), await an_endpoint(store, EventType.JOB_STARTED)
    await jobs_that_end(store, 1)
    [claimed] = await claim(store)
    await store.webhook_endpoints.delete(endpoint.key, an_act())
    assert await store.webhook_deliveries.failed(claimed, REFUSED, NOON, NOON, hold_until=None)
    assert await claim(store) == []
    assert (await store.old_deliveries.due(NOON)).count == 2
    assert await store.old_deliveries.remove(NOON, limit=10) == 2
    assert await store.old_deliveries.remove(NOON, limit=10) == 0
    assert await store.webhook_endpoints.get(kept.key)


async def test_old_deliveries_are_removed_but_not_those_that_wait_for_an_active_endpoint(store: PostgresStore) -> None:
    endpoint = await an_endpoint(store)
    await jobs_that_end(store, 1, 2)
    [first, _] = await claim(store)
    await store.webhook_deliveries.delivered(first, NOON, 200)
    assert (await store.old_deliveries.due(NOON)).count == 0  # it is not older
    assert (await store.old_deliveries.due(LATER)).count == 1
    assert await store.old_deliveries.remove(LATER, limit=10) == 1
    assert len(await deliveries(store, endpoint)) == 3


async def test_a_long_backlog_of_one_job_is_sent_one_by_one(store: PostgresStore) -> None:
    await an_endpoint(store)
    count = 40
    job = await admit(store, numbered(1))
    for number in range(count):
        await store.jobs.record(job.id, lambda _, attempt=number + 1: Started(attempt))
        await store.jobs.record(job.id, lambda _: Progressed("generate", 0.1))
    sent = await deliver_all(store)
    assert [each.event_type for each in sent] == ["job.submitted", *["job.started"] * count]
