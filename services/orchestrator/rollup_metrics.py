"""The metrics of the running day, from its rollups. One worker at a time computes these; all workers show them."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC

from prometheus_client import CollectorRegistry, Gauge

from services.errors import Unavailable
from services.orchestrator.domain.rollup import RollupSums, most_charged
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.rollups import Rollups

MODELS = 50
"""Models with series of their own, those that were charged most; all others are `other`."""
WHOSE = "by `{}`, of the running day (UTC). Every worker reports the same: take the maximum, not the sum."

log = logging.getLogger(__name__)


class DayGauges:
    """The sums of the running day by one label."""

    def __init__(self, registry: CollectorRegistry, prefix: str, label: str, most: int) -> None:
        """`most` is how many values have series of their own."""
        self._most = most
        whose = WHOSE.format(label)

        def gauge(name: str, what: str) -> Gauge:
            return Gauge(f"{prefix}_{name}", f"{what}, {whose}", [label], registry=registry)

        self.admitted = gauge("admitted_jobs", "Jobs admitted")
        self.jobs = gauge("jobs", "Jobs that brought a video or cost something")
        self.video = gauge("video_seconds", "Length of their videos")
        self.charged = gauge("charged_micros", "Charges less refunds")
        self.vendor = gauge("vendor_micros", "What vendors are paid by the prices of the cards, and written prompts")
        self.slots = gauge("slot_seconds", "Time in which jobs had slots of local backends")
        self._shown: set[str] = set()

    def show(self, sums: Mapping[str, RollupSums]) -> None:
        """Sets the gauges. A value without jobs on the day has no series."""
        shown = most_charged(sums, self._most)
        for name, each in shown.items():
            self.admitted.labels(name).set(each.admitted)
            self.jobs.labels(name).set(each.jobs)
            self.video.labels(name).set(each.video_ms / 1000)
            self.charged.labels(name).set(each.charged_micros)
            self.vendor.labels(name).set(each.vendor_micros)
            self.slots.labels(name).set(each.slot_ms / 1000)
        for gauge in (self.admitted, self.jobs, self.video, self.charged, self.vendor, self.slots):
            for name in self._shown - shown.keys():
                gauge.remove(name)
        self._shown = set(shown)


class RollupMetrics:
    """All gauges of the rollups. One per registry."""

    def __init__(self, registry: CollectorRegistry, tenants: int = 0) -> None:
        """`tenants` is how many tenants have series of their own, those that were charged most; 0: none has any."""
        self.models = DayGauges(registry, "i2v_day", "model", MODELS)
        self.tenants = DayGauges(registry, "i2v_tenant_day", "tenant", tenants)
        self.time = Gauge(
            "i2v_rollup_timestamp_seconds", "When this worker last showed the rollups, since 1970.", registry=registry
        )


async def keep_computing(rollups: Rollups, metrics: RollupMetrics, clock: Clock, every_s: float) -> None:
    """Computes the rollups and shows the running day until it is cancelled; while the database is away they stay."""
    while True:
        try:
            await rollups.refresh(every_s=every_s * 0.9)
            now = clock.now()
            today = now.astimezone(UTC).date()
            metrics.models.show(await rollups.of_models(today))
            metrics.tenants.show(await rollups.of_tenants(today))
            metrics.time.set(now.timestamp())
        except Unavailable:
            log.debug("the rollups cannot be computed: the database is away")
        await asyncio.sleep(every_s)
