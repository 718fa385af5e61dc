"""The metrics of what an installation has, which every worker reports from the database."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, Gauge

from services.errors import Unavailable
from services.orchestrator.domain.inventory import Inventory
from services.orchestrator.meters.label_names import LabelNames

EVERY_S = 30.0
ALL = "Every worker reports the same: take the maximum."

log = logging.getLogger(__name__)


class InventoryMetrics:
    """The gauges. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._names = LabelNames()
        self._entries = Gauge(
            "i2v_queue_entries",
            f"Unfinished entries of the job queue, in DBOS's table: `waiting`, or `claimed` by a worker. {ALL}",
            ["backend", "state"],
            registry=registry,
        )
        self._entry_age = Gauge(
            "i2v_queue_entry_oldest_seconds",
            f"Age of the oldest waiting entry, by the database's clock; 0 if none waits. {ALL}",
            ["backend"],
            registry=registry,
        )
        self._unfinished = Gauge("i2v_jobs_unfinished", f"Jobs that have not ended. {ALL}", registry=registry)
        self._held = Gauge("i2v_held_micros", f"Money that is set aside for these jobs. {ALL}", registry=registry)
        self._limits = Gauge(
            "i2v_limits_near_end",
            f"Limits whose use is now at least 80, 90 or 100 %, by kind. {ALL}",
            ["measure", "percent"],
            registry=registry,
        )
        self._stored = Gauge(
            "i2v_stored_bytes", f"Bytes that count against the limits of all tenants. {ALL}", registry=registry
        )
        self._trash = Gauge("i2v_trash_entries", f"Entries in the trash of all users. {ALL}", registry=registry)
        self._trash_bytes = Gauge("i2v_trash_bytes", f"Bytes of these entries. {ALL}", registry=registry)
        self._trash_age = Gauge(
            "i2v_trash_oldest_seconds",
            f"How long the oldest of these entries is in the trash; 0 if it is empty. {ALL}",
            registry=registry,
        )
        self._reconciling_age = Gauge(
            "i2v_reconciling_oldest_seconds",
            f"Time since the admission of the oldest job with an unknown paid call; 0 if there is none. {ALL}",
            registry=registry,
        )
        self._known_entries: set[tuple[str, str]] = set()
        self._known_limits: set[tuple[str, int]] = set()

    def show(self, found: Inventory) -> None:
        """Sets the gauges. What was seen once is reported until the process ends."""
        self._known_entries |= found.entries.keys()
        for backend, state in self._known_entries:
            shown = self._names.backend(backend)
            self._entries.labels(shown, state).set(found.entries.get((backend, state), 0))
            self._entry_age.labels(shown).set(max(0.0, found.entry_ages_s.get(backend, 0.0)))
        self._known_limits |= found.limits.keys()
        for kind, percent in self._known_limits:
            self._limits.labels(self._names.word(kind), str(percent)).set(found.limits.get((kind, percent), 0))
        self._unfinished.set(found.unfinished)
        self._held.set(found.held_micros)
        self._stored.set(found.stored_bytes)
        self._trash.set(found.trash_entries)
        self._trash_bytes.set(found.trash_bytes)
        self._trash_age.set(max(0.0, found.trash_age_s))
        self._reconciling_age.set(max(0.0, found.reconciling_age_s))


async def keep_showing(
    look: Callable[[], Awaitable[Inventory]], metrics: InventoryMetrics, *, every_s: float = EVERY_S
) -> None:
    """Shows the inventory until it is cancelled; while the database is away or too slow the numbers stay."""
    while True:
        try:
            metrics.show(await look())
        except Unavailable as error:
            log.debug("the inventory is unknown", extra={"cause": error.message})
        await asyncio.sleep(every_s)
