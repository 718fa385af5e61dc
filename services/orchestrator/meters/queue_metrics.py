"""The metrics of queues and backends: a part of the Meter port."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.orchestrator.meters.label_names import LabelNames
from services.reasons import RequestReason


class QueueMetrics:
    """Shows waits and backends."""

    def __init__(self, registry: CollectorRegistry, names: LabelNames) -> None:
        self._queue_names = names
        self._expected = Gauge(
            "i2v_expected_wait_seconds",
            "Expected wait of a job of a tenant that has none waiting, as an API last computed it for a caller.",
            ["backend"],
            registry=registry,
        )
        self._refused = Counter(
            "i2v_queue_refusals_total",
            "Jobs that were refused because too many wait (`QUEUE_LIMIT_REACHED`) or because they could not be made "
            "in time (`DEADLINE_UNREACHABLE`).",
            ["backend", "reason"],
            registry=registry,
        )
        self._ready = Gauge(
            "i2v_backend_ready",
            "1 if the backend accepted jobs at the worker's last check, every few seconds; also 0 while Triton serves "
            "another profile than the cards expect.",
            ["backend"],
            registry=registry,
        )
        self._drained = Gauge(
            "i2v_backend_drained",
            "1 while operators have drained the backend. Every process reports it: take the maximum.",
            ["backend"],
            registry=registry,
        )

    def expected_wait(self, backend: str, seconds: float) -> None:
        """Sets the expected wait of a job of a tenant that has none waiting."""
        name = self._queue_names.backend(backend)
        self._expected.labels(name).set(seconds)
        for reason in (RequestReason.QUEUE_LIMIT_REACHED, RequestReason.DEADLINE_UNREACHABLE):
            self._refused.labels(name, reason)  # it begins at 0, so that the first increase is seen

    def queue_refused(self, backend: str, reason: str) -> None:
        """Counts a job that was refused because of the queue."""
        self._refused.labels(self._queue_names.backend(backend), reason).inc()

    def backend_ready(self, backend: str, ready: bool) -> None:
        """Sets whether a backend could take a job."""
        self._ready.labels(self._queue_names.backend(backend)).set(ready)

    def backend_drained(self, backend: str, drained: bool) -> None:
        """Sets whether operators have drained a backend."""
        self._drained.labels(self._queue_names.backend(backend)).set(drained)
