"""A receiver of webhooks that is away for an hour, with a simulated clock: what it gets when it is back."""

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.webhook import EndpointKey, EventType, NewEndpoint
from services.orchestrator.meters.webhook_metrics import WebhookMetrics
from services.orchestrator.store.database import migrate
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.webhook_outbox import OF_EVENT
from services.orchestrator.webhook_receivers import HttpReceivers
from services.orchestrator.webhooks.lane import LaneRunner
from services.orchestrator.webhooks.sender import Sender
from services.orchestrator.webhooks_app import lanes
from services.outbound.public_destinations import PublicDestinations
from tools.bench_service import Row
from tools.stack_process import HOST, free_port

JOBS, EVENTS = 60, 10
STEP_S = 6.0
"""Simulated seconds between two events: an hour in all."""
TURN_S = 0.02
"""Real seconds that the sender has for each step."""
BACK_S = 600.0
"""Simulated seconds after the return, at most."""
TENANT = "bench"


class SimulatedClock:
    """A clock that is moved on."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)

    def now(self) -> datetime:
        """Returns the simulated time."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Moves it on."""
        self._now += timedelta(seconds=seconds)


async def measure() -> AsyncIterator[Row]:
    """Yields the row of the hour."""
    clock, port = SimulatedClock(), free_port()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="i2v-bench-")))
        server = EmbeddedPostgres(folder / "postgres")
        stack.callback(server.close)
        await asyncio.to_thread(migrate, server.url)
        store = PostgresStore(server.url, clock=clock, queue=Queue("make_video", "i2v-bench", "1"))
        await store.start()
        stack.push_async_callback(store.stop)
        await _make_endpoint(store, clock, port)
        registry = _send(store, clock, stack)
        for number in range(JOBS * EVENTS):
            await _happen(store, clock, number)
            clock.advance(STEP_S)
            await asyncio.sleep(TURN_S)
        tried = _failed(registry)
        got: list[tuple[str, str, int]] = []
        stack.push_async_callback(_close, await asyncio.start_server(_taking(got), HOST, port))
        back = clock.now()
        while len({each[0] for each in got}) < JOBS * EVENTS and (clock.now() - back).total_seconds() < BACK_S:
            clock.advance(1.0)
            await asyncio.sleep(TURN_S)
        after_s = (clock.now() - back).total_seconds()
    yield _row(got, tried, after_s)


def _row(got: list[tuple[str, str, int]], tried: int, after_s: float) -> Row:
    counted, order = Counter(name for name, _, _ in got), dict[str, list[int]]()
    for name, job, sequence in got:
        if counted[name] == 1 or sequence not in order.get(job, []):
            order.setdefault(job, []).append(sequence)
    in_order = all(numbers == list(range(1, EVENTS + 1)) for numbers in order.values())
    twice = sum(count - 1 for count in counted.values())
    measured = (
        f"{len(counted)} of {JOBS * EVENTS} arrived, within {after_s:.0f} simulated seconds after its return; "
        f"{'in order' if in_order else 'NOT in order'} within each job, {twice} twice; {tried} tries while it was away"
    )
    what = f"A receiver that was away for an hour, with {EVENTS} events of each of {JOBS} jobs"
    met = len(counted) == JOBS * EVENTS and in_order and not twice
    return Row(what, measured, "everything in order, once by id", met)


async def _make_endpoint(store: PostgresStore, clock: SimulatedClock, port: int) -> None:
    await store.tenants.put(TENANT, "bench", "0" * 64)
    key = EndpointKey(TENANT, str(uuid4()))
    kinds = (EventType.JOB_STARTED,)
    new = NewEndpoint(key=key, url=f"http://{HOST}:{port}/hooks", event_types=kinds, description="")
    act = Act(clock.now(), "bench", "CreateEndpoint", f"webhooks/{key.id}", TENANT)
    await store.webhook_endpoints.create(new, act)


def _send(store: PostgresStore, clock: SimulatedClock, stack: AsyncExitStack) -> CollectorRegistry:
    registry = CollectorRegistry()
    metrics = WebhookMetrics(registry)
    receivers = HttpReceivers(PublicDestinations([HOST]), clock, timeout_s=10.0)
    stack.push_async_callback(receivers.close)
    sender = Sender(store.webhook_deliveries, receivers, clock, metrics)
    for lane in lanes(100):
        runner = LaneRunner(lane, store.webhook_deliveries, sender, clock, metrics, lease_s=3600.0, poll_s=TURN_S / 2)
        stack.push_async_callback(_end, asyncio.create_task(runner.run(), name=lane.name))
    return registry


async def _happen(store: PostgresStore, clock: SimulatedClock, number: int) -> None:
    """The jobs run in turn, ten at a time: each has an event after the other."""
    group, rest = divmod(number, 10 * EVENTS)
    given = {"tenant": TENANT, "user": "ann", "event_type": EventType.JOB_STARTED.value}
    job, sequence = f"{group * 10 + rest % 10:032x}", rest // 10 + 1
    more = {"id": job, "last_sequence": sequence, "body": '{"attempt": 1}', "now": clock.now()}
    async with store.database.reading() as connection:
        await connection.execute(sa.text(OF_EVENT), given | more)


def _taking(got: list[tuple[str, str, int]]):  # type: ignore[no-untyped-def]
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
                headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
                data = json.loads(await reader.readexactly(int(headers["content-length"])))["data"]
                got.append((headers["webhook-id"], data["job"], data["sequence"]))
                writer.write(b"HTTP/1.1 204 ok\r\ncontent-length: 0\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()

    return take


def _failed(registry: CollectorRegistry) -> int:
    labels = {"result": "failed", "reason": "RECEIVER_UNREACHABLE"}
    return int(registry.get_sample_value("i2v_webhook_tries_total", labels) or 0)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _close(server: asyncio.Server) -> None:
    server.close()
