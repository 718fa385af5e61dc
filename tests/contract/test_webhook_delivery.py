"""How webhooks reach a receiver over time: in order, again after failures, and to the others whichever one fails."""

import asyncio
import json
from dataclasses import replace

import pytest
from standardwebhooks import Webhook

from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.domain.event import Failed, JobError, Started
from services.orchestrator.domain.webhook import DeliveryState, Endpoint, EndpointState, PauseReason
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.webhooks.schedule import HOLD_MOST_S, PAUSES_S, TRIED_FOR
from services.reasons import DeliveryReason
from tests.support.builders import FakeClock, admit, numbered
from tests.support.log_capture import captured
from tests.support.webhook_receivers import Receiver, receiving
from tests.support.webhook_senders import (
    counted,
    sending,
    three_events,
    until,
    until_done,
    until_endpoint,
    until_states,
    url,
)
from tests.support.webhooks import an_act, an_endpoint, deliveries

BROKEN = Failed(JobError("INTERNAL", "a bug", retryable=True), 0)
DAY_S = TRIED_FOR.total_seconds()


def order(receiver: Receiver, subject: str) -> list[str]:
    """The ids in the order in which they came, each the first time that it came."""
    return list(dict.fromkeys(each.id for each in receiver.got if each.data.get("job") == subject))


async def test_events_of_a_job_come_in_order_each_once_by_its_id(store: PostgresStore, clock: FakeClock) -> None:
    async with receiving(Receiver()) as receiver, sending(store, clock) as metrics:
        endpoint = await an_endpoint(store, url=url(receiver))
        subjects = [await three_events(store, number) for number in range(5)]
        got = await receiver.until(15)
        await until_states(store, endpoint, *[("delivered", 1)] * 15)
    assert len({each.id for each in got}) == 15
    for subject in subjects:
        mine = [each for each in got if each.data["job"] == subject]
        assert [each.data["sequence"] for each in mine] == [1, 2, 3]
        assert [json.loads(each.body)["type"] for each in mine] == ["job.submitted", "job.started", "job.failed"]
    assert counted(metrics, "i2v_webhook_tries_total", result="delivered", reason="") == 15
    assert counted(metrics, "i2v_webhook_try_seconds_count", result="delivered") == 15
    assert counted(metrics, "i2v_webhook_delay_seconds_count") == 15


async def test_a_failed_one_comes_again_with_its_id_and_body_and_the_later_ones_of_its_job_wait(
    store: PostgresStore, clock: FakeClock
) -> None:
    async with receiving(Receiver(status=500)) as receiver, sending(store, clock) as metrics:
        endpoint = await an_endpoint(store, url=url(receiver))
        await three_events(store, 1)
        await until_states(store, endpoint, ("waiting", 1), ("waiting", 0), ("waiting", 0))
        clock.advance(PAUSES_S[0] * 1.2)
        await until_states(store, endpoint, ("waiting", 2), ("waiting", 0), ("waiting", 0))
        receiver.status = 200
        clock.advance(PAUSES_S[1] * 1.2)
        got = await receiver.until(5)
        await until_states(store, endpoint, ("delivered", 3), ("delivered", 1), ("delivered", 1))
    assert got[0].id == got[1].id == got[2].id and got[0].body == got[2].body
    assert got[0].headers["webhook-timestamp"] != got[2].headers["webhook-timestamp"]
    assert [each.data["sequence"] for each in got] == [1, 1, 1, 2, 3]
    refused = DeliveryReason.RECEIVER_REFUSED
    assert counted(metrics, "i2v_webhook_tries_total", result="failed", reason=refused) == 2
    last = (await deliveries(store, endpoint))[0]
    assert (last.last_status, last.last_error) == (200, "")


async def test_an_answer_of_410_pauses_the_endpoint_and_its_events_are_sent_when_it_is_active_again(
    store: PostgresStore, clock: FakeClock
) -> None:
    with captured() as log:
        async with receiving(Receiver(status=410)) as receiver, sending(store, clock) as metrics:
            endpoint = await an_endpoint(store, url=url(receiver))
            subject = await three_events(store, 1)
            paused = await until_endpoint(store, endpoint, lambda found: found.state is EndpointState.PAUSED)
            assert paused.pause_reason is PauseReason.GONE
            receiver.status = 204
            other = await three_events(store, 2)
            clock.advance(DAY_S)
            before = len(receiver.got)

            def activate(found: Endpoint) -> Endpoint:
                active = replace(found, state=EndpointState.ACTIVE, pause_reason=None, pause_time=None)
                return replace(active, failing_since=None, failures=0)

            await store.webhook_endpoints.change(endpoint.key, activate, an_act(time=clock.now()))
            await until_states(store, endpoint, *[("delivered", 1)] * 6)
    assert before == 1
    assert len(order(receiver, subject)) == len(order(receiver, other)) == 3
    assert counted(metrics, "i2v_webhook_endpoints_paused_total", reason="gone") == 1
    assert sum("a webhook endpoint was paused" in line for line in log.json) == 1


async def test_a_receiver_that_asks_for_time_gets_nothing_before(store: PostgresStore, clock: FakeClock) -> None:
    async with receiving(Receiver(status=429, headers="retry-after: 120\r\n")) as receiver, sending(store, clock):
        endpoint = await an_endpoint(store, url=url(receiver))
        await admit(store, numbered(1))
        await until_states(store, endpoint, ("waiting", 1))
        await admit(store, numbered(2))
        clock.advance(119)
        held = await store.webhook_deliveries.claim(9, clock.now(), TRIED_FOR, most_per_endpoint=9, failing=True)
        assert held == [] and len(receiver.got) == 1
        receiver.status, receiver.headers = 204, ""
        clock.advance(2)
        await until_states(store, endpoint, ("delivered", 2), ("delivered", 1))


async def test_an_endpoint_that_fails_for_a_day_is_paused_and_loses_nothing(
    store: PostgresStore, clock: FakeClock
) -> None:
    async with receiving(Receiver(status=503)) as receiver, sending(store, clock) as metrics:
        endpoint = await an_endpoint(store, url=url(receiver))
        await admit(store, numbered(1))
        for tries in range(1, 30):
            clock.advance(DAY_S / 20)
            await admit(store, numbered(1 + tries))
            found = await until_endpoint(
                store,
                endpoint,
                lambda found, tries=tries: found.failures >= tries or found.state is EndpointState.PAUSED,
            )
            if found.state is EndpointState.PAUSED:
                break
        assert found.pause_reason is PauseReason.FAILING
        assert 20 <= tries <= 22
        assert {each.state for each in await deliveries(store, endpoint)} == {DeliveryState.WAITING}
        assert counted(metrics, "i2v_webhook_endpoints_paused_total", reason="failing") == 1


async def test_one_that_its_receiver_never_takes_is_given_up_while_the_others_go_on(
    store: PostgresStore, clock: FakeClock
) -> None:
    async with receiving(Receiver()) as receiver, sending(store, clock) as metrics:
        endpoint = await an_endpoint(store, url=url(receiver))
        poison = f"jobs/{(await admit(store, numbered(1))).id}"
        await until_states(store, endpoint, ("delivered", 1))
        receiver.refuses = lambda got: got.data["job"] == poison
        await store.jobs.record(poison.removeprefix("jobs/"), lambda _: Started(1))
        await store.jobs.record(poison.removeprefix("jobs/"), lambda _: BROKEN)
        for number, pause_s in enumerate(PAUSES_S, start=1):
            await until_states(
                store,
                endpoint,
                ("delivered", 1),
                ("waiting", number),
                ("waiting", 0),
                *[("delivered", 1)] * (number - 1),
            )
            await admit(store, numbered(1 + number))
            await until_states(
                store, endpoint, ("delivered", 1), ("waiting", number), ("waiting", 0), *[("delivered", 1)] * number
            )
            clock.advance(pause_s * 1.2)
        receiver.refuses = lambda got: got.data.get("sequence") == 2
        await until_states(store, endpoint, ("delivered", 1), ("dead", 11), ("delivered", 1), *[("delivered", 1)] * 10)
        refused = DeliveryReason.RECEIVER_REFUSED
        assert counted(metrics, "i2v_webhook_tries_total", result="dead", reason=refused) == 1
        dead = (await deliveries(store, endpoint))[1]
        receiver.refuses = None
        await store.webhook_endpoints.replay(endpoint.key, [dead.id], an_act(time=clock.now()))
        got = await receiver.until(len(receiver.got) + 1)
    assert got[-1].id == dead.id


async def test_a_receiver_that_comes_back_gets_all_that_waits_at_once(store: PostgresStore, clock: FakeClock) -> None:
    receiver = Receiver()
    async with receiving(receiver):
        endpoint = await an_endpoint(store, url=url(receiver))
    async with sending(store, clock):  # nothing listens any more
        subjects = [await three_events(store, number) for number in range(5)]
        for _ in range(12):  # an hour
            clock.advance(HOLD_MOST_S + 1)
            failures = (await store.webhook_endpoints.get(endpoint.key)).failures
            await until_endpoint(store, endpoint, lambda found, failures=failures: found.failures > failures)
        async with receiving(receiver, port=receiver.port):
            clock.advance(HOLD_MOST_S + 1)
            await receiver.until(15)
            await until_done(store, endpoint)
    assert len(receiver.got) == 15
    for subject in subjects:
        assert len(order(receiver, subject)) == 3
        assert [each.data["sequence"] for each in receiver.got if each.data["job"] == subject] == [1, 2, 3]


async def test_two_processes_send_each_webhook_once(store: PostgresStore, clock: FakeClock) -> None:
    async with receiving(Receiver()) as receiver, sending(store, clock), sending(store, clock):
        endpoint = await an_endpoint(store, url=url(receiver))
        subjects = [await three_events(store, number) for number in range(20)]
        await receiver.until(60)
        await until_done(store, endpoint)
    assert len(receiver.got) == len({each.id for each in receiver.got}) == 60
    for subject in subjects:
        assert [each.data["sequence"] for each in receiver.got if each.data["job"] == subject] == [1, 2, 3]


async def test_receivers_that_hang_do_not_hold_up_the_others(store: PostgresStore, clock: FakeClock) -> None:
    release = asyncio.Event()

    async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await release.wait()

    async with receiving(Receiver(behave=hang)) as dead, receiving(Receiver()) as living:
        bad = [await an_endpoint(store, url=url(dead)) for _ in range(4)]
        for each in bad:  # known as failing, as after their first try
            await mark_failing(store, each)
        good = await an_endpoint(store, url=url(living))
        async with sending(store, clock, sends=4, timeout_s=60):
            for number in range(10):
                await admit(store, numbered(number))
            await dead.until(2)
            await living.until(10)
            await until_done(store, good)
            assert dead.connections <= 2  # half of the slots, one for each endpoint
            release.set()


async def mark_failing(store: PostgresStore, endpoint: Endpoint) -> None:
    def failing(found: Endpoint) -> Endpoint:
        return replace(found, failing_since=found.create_time, failures=1)

    await store.webhook_endpoints.change(endpoint.key, failing, an_act())


async def test_during_a_rotation_either_secret_verifies(store: PostgresStore) -> None:
    clock = SystemClock()
    async with receiving(Receiver()) as receiver, sending(store, clock):
        endpoint = await an_endpoint(store, url=url(receiver))
        _, older = await store.webhook_endpoints.rotate(endpoint.key, "1", 0 * TRIED_FOR, an_act(time=clock.now()))
        _, newer = await store.webhook_endpoints.rotate(endpoint.key, "2", TRIED_FOR, an_act(time=clock.now()))
        await admit(store, numbered(1))
        got = (await receiver.until(1))[0]
    assert len(got.headers["webhook-signature"].split()) == 2
    for secret in (older, newer):
        assert Webhook(secret).verify(got.body, got.headers)["type"] == "job.submitted"


async def test_a_result_that_comes_after_the_claim_ran_out_does_not_count(
    store: PostgresStore, clock: FakeClock
) -> None:
    release = asyncio.Event()

    async def late(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n")

    with captured() as log:
        async with receiving(Receiver(behave=late)) as receiver, sending(store, clock):
            endpoint = await an_endpoint(store, url=url(receiver))
            await admit(store, numbered(1))
            await receiver.until(1)
            receiver.behave = None
            clock.advance(61)  # the lease is over; another look takes it
            await until_states(store, endpoint, ("delivered", 2))
            release.set()
            await until(lambda: any("another process has taken over" in line for line in log.json))
            await until_states(store, endpoint, ("delivered", 2))
    assert receiver.got[0].id == receiver.got[1].id


async def test_what_is_under_way_at_a_stop_is_finished_and_recorded(store: PostgresStore, clock: FakeClock) -> None:
    release = asyncio.Event()

    async def late(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(b"HTTP/1.1 204 X\r\ncontent-length: 0\r\n\r\n")

    async with receiving(Receiver(behave=late)) as receiver:
        endpoint = await an_endpoint(store, url=url(receiver))
        async with sending(store, clock):
            await admit(store, numbered(1))
            await receiver.until(1)
            asyncio.get_running_loop().call_later(0.05, release.set)
        await until_states(store, endpoint, ("delivered", 1))


@pytest.mark.parametrize("status", [301, 400, 404, 500])
async def test_a_status_that_is_no_success_is_shown_to_the_owner(
    store: PostgresStore, clock: FakeClock, status: int
) -> None:
    async with receiving(Receiver(status=status)) as receiver, sending(store, clock):
        endpoint = await an_endpoint(store, url=url(receiver))
        await admit(store, numbered(1))
        await until_states(store, endpoint, ("waiting", 1))
        shown = (await deliveries(store, endpoint))[0]
    redirected = DeliveryReason.RECEIVER_REDIRECTED if status == 301 else DeliveryReason.RECEIVER_REFUSED
    assert (shown.last_status, shown.last_error) == (status, redirected)
