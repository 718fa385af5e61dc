"""The metrics of what waits to be sent, which workers report too: so one sees it also if no process sends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge

from services.errors import Unavailable
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.webhooks import Backlog

EVERY_S = 10.0
ALL = "Every worker and every sender reports the same: take the maximum."

log = logging.getLogger(__name__)


class WebhookBacklogMetrics:
    """The gauges. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._waiting = Gauge(
            "i2v_webhooks_waiting", f"Webhooks of active endpoints that wait for a try. {ALL}", registry=registry
        )
        self._oldest = Gauge(
            "i2v_webhooks_oldest_seconds", f"Age of the oldest of them; 0 if none waits. {ALL}", registry=registry
        )
        self._due = Gauge(
            "i2v_webhooks_due_seconds",
            "For how long an endpoint that answered last, and may get more now, has got none of its due webhooks; 0 if "
            f"there is none. More than a second or two means that no process sends, or too few. {ALL}",
            registry=registry,
        )
        self._dead = Gauge("i2v_webhooks_dead", f"Webhooks that were given up and are kept. {ALL}", registry=registry)
        self._endpoints = Gauge(
            "i2v_webhook_endpoints",
            f"Endpoints that are `failing`, so active with a failed last try, or `paused`. {ALL}",
            ["state"],
            registry=registry,
        )

    def show(self, found: Backlog, now: datetime) -> None:
        """Sets the gauges."""
        self._waiting.set(found.waiting)
        self._oldest.set(_age_s(found.oldest_time, now))
        self._due.set(_age_s(found.due_time, now))
        self._dead.set(found.dead)
        self._endpoints.labels("failing").set(found.failing_endpoints)
        self._endpoints.labels("paused").set(found.paused_endpoints)


def _age_s(time: datetime | None, now: datetime) -> float:
    return max(0.0, (now - time).total_seconds()) if time is not None else 0.0


async def keep_showing(
    look: Callable[[datetime], Awaitable[Backlog]],
    clock: Clock,
    metrics: WebhookBacklogMetrics,
    *,
    every_s: float = EVERY_S,
) -> None:
    """Shows what waits until it is cancelled; while the database is away the numbers stay."""
    while True:
        now = clock.now()
        try:
            metrics.show(await look(now), now)
        except Unavailable as error:
            log.debug("the number of waiting webhooks is unknown", extra={"cause": error.message})
        await asyncio.sleep(every_s)
