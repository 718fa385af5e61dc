"""A lane: claims what is due and sends it, so many at a time. The living and the failing endpoints have a lane each.

So endpoints that do not answer never take the place of those that do: however many hang, they share the slots of their
own lane, one request each.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from services.errors import Unavailable
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.webhook_meter import WebhookMeter
from services.orchestrator.ports.webhooks import Claimed, Deliveries
from services.orchestrator.webhooks.sender import Sender

POLL_S = 0.5
"""Seconds between two looks if nothing was due."""
REST_S = 0.02
"""Seconds between two looks, at least."""
AWAY_S = 1.0
"""Seconds to the next look while the database is away."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lane:
    """What a lane takes."""

    name: str
    failing: bool
    """Whether it takes the endpoints that failed at their last try, or all others."""
    slots: int
    """Requests at a time."""
    per_endpoint: int
    """Requests to one endpoint at a time, over all processes."""


class LaneRunner:
    """Runs one lane in this process."""

    def __init__(
        self,
        lane: Lane,
        deliveries: Deliveries,
        sender: Sender,
        clock: Clock,
        meter: WebhookMeter,
        *,
        lease_s: float,
        poll_s: float = POLL_S,
    ) -> None:
        """A claim holds for `lease_s`: longer than a try. `poll_s` is the time between two looks if nothing was due."""
        self._lane = lane
        self._deliveries = deliveries
        self._sender = sender
        self._clock = clock
        self._meter = meter
        self._lease = timedelta(seconds=lease_s)
        self._poll_s = poll_s
        self._sending: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        """A request ended: a slot is free, and the next delivery of its subject may be due."""

    async def run(self) -> None:
        """Delivers until it is cancelled; then it begins nothing more, and waits until what it has begun is done."""
        try:
            while True:
                self._ended.clear()
                pause_s = await self._look()
                await asyncio.sleep(REST_S)
                if pause_s:
                    await _either(self._ended, pause_s)
        finally:
            if self._sending:
                await asyncio.wait(self._sending)

    async def _look(self) -> float:
        """Begins what is due. Returns the seconds to the next look, if no request ends before."""
        free = self._lane.slots - len(self._sending)
        if not free:
            return self._poll_s
        claiming = asyncio.create_task(self._claim(free), name="webhook-claim")
        try:
            begun = self._begin(await asyncio.shield(claiming))
        except asyncio.CancelledError:
            with suppress(Unavailable):
                self._begin(await claiming)  # what is claimed is sent: others would wait until the claim runs out
            raise
        except Unavailable as error:
            log.debug("no webhooks can be claimed", extra={"cause": error.message})
            return AWAY_S
        return 0.0 if begun == free else self._poll_s

    async def _claim(self, limit: int) -> Sequence[Claimed]:
        return await self._deliveries.claim(
            limit,
            self._clock.now(),
            self._lease,
            most_per_endpoint=self._lane.per_endpoint,
            failing=self._lane.failing,
        )

    def _begin(self, claimed: Sequence[Claimed]) -> int:
        """Sends these. Returns how many they are."""
        for delivery in claimed:
            task = asyncio.create_task(self._send(delivery), name=f"webhook-{delivery.id}")
            self._sending.add(task)
            task.add_done_callback(self._done)
        self._meter.under_way(self._lane.name, len(self._sending))
        return len(claimed)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._meter.under_way(self._lane.name, len(self._sending))
        self._ended.set()

    async def _send(self, delivery: Claimed) -> None:
        fields = {"tenant": delivery.tenant, "webhook": delivery.endpoint_id, "delivery": delivery.id}
        try:
            await self._sender.send(delivery)
        except Unavailable as error:
            log.warning("a webhook is sent again later", extra=fields | {"cause": error.message})
        except Exception:
            log.exception("a webhook could not be sent", extra=fields)


async def _either(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
