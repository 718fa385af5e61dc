"""Processes that send webhooks, as tasks of a test, to receivers on this machine."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from services.orchestrator.domain.event import Failed, JobError, Started
from services.orchestrator.domain.webhook import DeliveryState, Endpoint
from services.orchestrator.meters.webhook_metrics import WebhookMetrics
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.webhook_receivers import HttpReceivers
from services.orchestrator.webhooks.lane import LaneRunner
from services.orchestrator.webhooks.sender import Sender
from services.orchestrator.webhooks_app import lanes
from services.outbound.public_destinations import PublicDestinations
from tests.support.builders import admit, numbered
from tests.support.webhook_receivers import Receiver
from tests.support.webhooks import deliveries

HERE = "127.0.0.1"
BROKEN = Failed(JobError("INTERNAL", "a bug", retryable=True), 0)
LOOK_S, PATIENCE_S = 0.01, 60.0


@asynccontextmanager
async def sending(
    store: PostgresStore, clock: Clock, *, sends: int = 20, timeout_s: float = 30.0, lease_s: float = 60.0
) -> AsyncIterator[CollectorRegistry]:
    """Sends within the block, as one process does; it looks for work all the time. Yields its metrics."""
    registry = CollectorRegistry()
    metrics = WebhookMetrics(registry)
    receivers = HttpReceivers(PublicDestinations([HERE]), clock, timeout_s=timeout_s)
    sender = Sender(store.webhook_deliveries, receivers, clock, metrics)
    runners = [
        LaneRunner(lane, store.webhook_deliveries, sender, clock, metrics, lease_s=lease_s, poll_s=0.01)
        for lane in lanes(sends)
    ]
    running = [asyncio.create_task(each.run()) for each in runners]
    try:
        yield registry
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await receivers.close()


def counted(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


def url(receiver: Receiver) -> str:
    return f"http://{HERE}:{receiver.port}/in"


async def three_events(store: PostgresStore, number: int) -> str:
    """Makes a job that is submitted, started and failed; returns its subject."""
    job = await admit(store, numbered(number))
    await store.jobs.record(job.id, lambda _: Started(1))
    await store.jobs.record(job.id, lambda _: BROKEN)
    return f"jobs/{job.id}"


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds in this process."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if holds():
                return
            await asyncio.sleep(LOOK_S)


async def until_endpoint(store: PostgresStore, endpoint: Endpoint, holds: Callable[[Endpoint], bool]) -> Endpoint:
    """Waits until something holds for an endpoint, and returns it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if holds(found := await store.webhook_endpoints.get(endpoint.key)):
                return found
            await asyncio.sleep(LOOK_S)


async def until_states(store: PostgresStore, endpoint: Endpoint, *wanted: tuple[str, int]) -> None:
    """Waits until the deliveries of an endpoint have these states and numbers of tries.

    A try counts from its begin: of one that waits for another try, at least one has ended.
    """
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await deliveries(store, endpoint)
            ended = all(each.last_error for each in found if each.state == DeliveryState.WAITING and each.tries)
            if ended and [(each.state.value, each.tries) for each in found] == list(wanted):
                return
            await asyncio.sleep(LOOK_S)


async def until_done(store: PostgresStore, endpoint: Endpoint) -> None:
    """Waits until all deliveries of an endpoint have arrived."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if {each.state for each in await deliveries(store, endpoint)} == {DeliveryState.DELIVERED}:
                return
            await asyncio.sleep(LOOK_S)
