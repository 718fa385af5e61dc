"""The metrics of the queues and of the workers, which every process reports from the database.

An installation whose workers are all gone has no worker that could report it, so APIs do as well.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, Gauge

from services.errors import Unavailable
from services.orchestrator.domain.fleet import Fleet

EVERY_S = 10.0

log = logging.getLogger(__name__)


class FleetMetrics:
    """The gauges. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queued = Gauge(
            "i2v_jobs_queued",
            "Jobs in the state QUEUED. Every API and worker reports the same number: take the maximum, not the sum.",
            ["backend"],
            registry=registry,
        )
        self._oldest = Gauge(
            "i2v_queue_oldest_timestamp_seconds",
            "When the oldest of them was admitted; 0 if none waits. Every API and worker reports it.",
            ["backend"],
            registry=registry,
        )
        self._slots = Gauge(
            "i2v_backend_slots",
            "Jobs at a time of the workers that are alive, and of Tritons no more than those that are ready "
            "have slots for. Every API and worker reports it.",
            ["backend"],
            registry=registry,
        )
        self._workers = Gauge(
            "i2v_workers",
            "Workers: `alive`, with a heartbeat in the last minute, or `silent`: ended without leaving, and not back "
            "under their names. A silent one is counted for an hour. Every API and worker reports it.",
            ["state"],
            registry=registry,
        )
        self._backends: set[str] = set()

    def show(self, fleet: Fleet) -> None:
        """Sets the gauges. A backend that was seen once is reported until the process ends."""
        self._backends |= fleet.backlogs.keys() | fleet.slots.keys()
        for name in self._backends:
            backlog = fleet.backlogs.get(name)
            self._queued.labels(name).set(backlog.jobs if backlog else 0)
            self._oldest.labels(name).set(backlog.oldest.timestamp() if backlog else 0)
            self._slots.labels(name).set(fleet.slots.get(name, 0))
        self._workers.labels("alive").set(fleet.alive)
        self._workers.labels("silent").set(fleet.silent)


async def keep_showing(
    look: Callable[[], Awaitable[Fleet]], metrics: FleetMetrics, *, every_s: float = EVERY_S
) -> None:
    """Shows the fleet until it is cancelled; while the database is away the numbers stay."""
    while True:
        try:
            metrics.show(await look())
        except Unavailable:
            log.debug("the fleet is unknown: the database is away")
        await asyncio.sleep(every_s)
