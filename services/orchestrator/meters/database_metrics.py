"""The metrics of a process's database: its schema, its clock, and the connections of this process."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, Gauge

from services.errors import Unavailable
from services.orchestrator.domain.inventory import DatabaseState

EVERY_S = 10.0
STATES = ("current", "behind", "ahead")

log = logging.getLogger(__name__)


class DatabaseMetrics:
    """The gauges. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._schema = Gauge(
            "i2v_schema_state",
            "1 for the state of the database's schema: `current`; `behind` this program, which waits for a migration; "
            "or `ahead` of it: a newer release has migrated, and still serves this one.",
            ["state"],
            registry=registry,
        )
        self._offset = Gauge(
            "i2v_clock_offset_seconds",
            "By how much this machine's clock is ahead of the database's, as last measured; below 0: behind.",
            registry=registry,
        )
        self._connections = Gauge(
            "i2v_database_connections",
            "Connections of this process's pool that are in `use` now, and the `most` that it may have.",
            ["of"],
            registry=registry,
        )

    def schema(self, state: str) -> None:
        """Shows the state of the schema."""
        for each in STATES:
            self._schema.labels(each).set(each == state)

    def pool(self, in_use: Callable[[], int], most: int) -> None:
        """Shows the connections: those in use are read at each scrape."""
        self._connections.labels("use").set_function(in_use)
        self._connections.labels("most").set(most)

    def show(self, found: DatabaseState) -> None:
        """Sets what was found."""
        self.schema(found.schema)
        self._offset.set(found.clock_offset_s)


async def keep_showing(
    look: Callable[[], Awaitable[DatabaseState]], metrics: DatabaseMetrics, *, every_s: float = EVERY_S
) -> None:
    """Shows the state until it is cancelled; while the database is away it stays."""
    while True:
        try:
            metrics.show(await look())
        except Unavailable:
            log.debug("the state of the database is unknown: it is away")
        await asyncio.sleep(every_s)
