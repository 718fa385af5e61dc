"""The metrics of a process that sends webhooks: the WebhookMeter port."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.orchestrator.domain.webhook import PauseReason
from services.reasons import DeliveryReason

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
DELAYS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class WebhookMetrics:
    """Counts and measures tries. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tries = Counter(
            "i2v_webhook_tries_total",
            "Webhooks that were sent: `delivered`, `failed` and tried again, or `dead`, given up; with the reason.",
            ["result", "reason"],
            registry=registry,
        )
        self._seconds = Histogram(
            "i2v_webhook_try_seconds",
            "Time from the look-up of a receiver's name to its status.",
            ["result"],
            buckets=SECONDS,
            registry=registry,
        )
        self._delay = Histogram(
            "i2v_webhook_delay_seconds",
            "Time from an event to the receiver's status, of webhooks that were delivered at the first try.",
            buckets=DELAYS,
            registry=registry,
        )
        self._under_way = Gauge(
            "i2v_webhook_requests_under_way",
            "Requests of this process to receivers that answer (`living`) and to those that failed last (`failing`).",
            ["lane"],
            registry=registry,
        )
        self._paused = Counter(
            "i2v_webhook_endpoints_paused_total",
            "Endpoints that this process has paused: they are `gone`, or are `failing` for a day.",
            ["reason"],
            registry=registry,
        )
        # From 0 on, so that the first is an increase.
        self._tries.labels("delivered", "")
        for reason in DeliveryReason:
            self._tries.labels("failed", reason)
            self._tries.labels("dead", reason)
        for paused in PauseReason:
            self._paused.labels(paused)

    def tried(self, result: str, reason: DeliveryReason | None, seconds: float) -> None:
        """Counts a try."""
        self._tries.labels(result, reason or "").inc()
        self._seconds.labels(result).observe(seconds)

    def delay(self, seconds: float) -> None:
        """Records how late an event came that was delivered at the first try."""
        self._delay.observe(max(0.0, seconds))

    def endpoint_paused(self, reason: PauseReason) -> None:
        """Counts a paused endpoint."""
        self._paused.labels(reason).inc()

    def under_way(self, lane: str, count: int) -> None:
        """Sets how many requests of a lane are under way."""
        self._under_way.labels(lane).set(count)
