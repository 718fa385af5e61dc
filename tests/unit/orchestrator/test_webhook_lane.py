"""A lane at its edges: stops in the middle of a claim, a database that is away, resources that do not suffice."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.errors import Unavailable
from services.orchestrator.meters.webhook_metrics import WebhookMetrics
from services.orchestrator.ports.webhook_receiver import Answer
from services.orchestrator.ports.webhooks import Backlog, Claimed
from services.orchestrator.webhooks.lane import Lane, LaneRunner
from services.orchestrator.webhooks.sender import Sender
from services.reasons import ServiceReason
from tests.support.builders import NOON, FakeClock
from tests.support.log_capture import captured

ONE = Claimed(
    number=1,
    claim=1,
    id="evt_1",
    tenant="studio",
    endpoint=1,
    endpoint_id="hook",
    url="https://hooks.example/",
    secrets=("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
    event_type="webhook.test",
    payload="{}",
    create_time=NOON,
    tries=1,
    failing_since=None,
    failures=0,
)
AWAY = Unavailable("The database is away.", reason=ServiceReason.DATABASE_UNAVAILABLE)


@dataclass
class OneDelivery:
    """Deliveries with one that is due; the answer to a claim comes when `answered` is set."""

    away: bool = False
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[str] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def claim(self, limit: int, now: datetime, lease: timedelta, **options: Any) -> Sequence[Claimed]:
        first = not self.asked.is_set()
        self.asked.set()
        await self.answered.wait()
        if self.away:
            raise AWAY
        return [ONE] if first else []

    async def delivered(self, claimed: Claimed, now: datetime, status: int) -> bool:
        return self._called("delivered")

    async def failed(self, *values: Any, **options: Any) -> bool:
        return self._called("failed")

    async def dead(self, *values: Any, **options: Any) -> bool:
        return self._called("dead")

    async def release(self, claimed: Claimed, time: datetime) -> None:
        self._called(f"released for {(time - NOON).total_seconds():g} s")

    async def pause(self, *values: Any) -> bool:
        return self._called("paused")

    async def backlog(self, now: datetime) -> Backlog:
        raise AWAY

    def _called(self, name: str) -> bool:
        self.calls.append(name)
        self.ended.set()
        return True


class Receiver:
    """Takes everything, unless this machine lacks resources."""

    def __init__(self, *, lacking: bool = False) -> None:
        self._lacking = lacking

    async def post(self, url: str, headers: Mapping[str, str], body: str) -> Answer:
        if self._lacking:
            raise Unavailable("No files can be opened.", reason=ServiceReason.RESOURCES_EXHAUSTED)
        return Answer(204)


def runner(deliveries: OneDelivery, receiver: Receiver) -> LaneRunner:
    metrics, clock = WebhookMetrics(CollectorRegistry()), FakeClock()
    sender = Sender(deliveries, receiver, clock, metrics)
    lane = Lane("living", failing=False, slots=4, per_endpoint=2)
    return LaneRunner(lane, deliveries, sender, clock, metrics, lease_s=60.0, poll_s=0.01)


@pytest.mark.parametrize(("away", "calls"), [(False, ["delivered"]), (True, [])])
async def test_a_stop_in_the_middle_of_a_claim_sends_what_is_claimed(away: bool, calls: list[str]) -> None:
    deliveries = OneDelivery(away=away)
    running = asyncio.create_task(runner(deliveries, Receiver()).run())
    await deliveries.asked.wait()
    running.cancel()
    deliveries.answered.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert deliveries.calls == calls


async def test_a_delivery_is_given_back_if_this_machine_lacks_resources() -> None:
    deliveries = OneDelivery()
    deliveries.answered.set()
    with captured() as log:
        running = asyncio.create_task(runner(deliveries, Receiver(lacking=True)).run())
        await deliveries.ended.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert deliveries.calls == ["released for 5 s"]
    assert any("a webhook is sent again later" in line for line in log.json)
