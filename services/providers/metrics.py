"""A provider's own Prometheus metrics, in addition to the standard gRPC ones. docs/metrics.md lists them."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.metrics.exemplar import exemplar
from services.metrics.label_values import LabelValues

MODELS, WORDS = 200, 200
MIXED_KINDS = ("submit", "look", "cancel", "find", "webhook")

REQUEST_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
SECONDS = (1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)


class VendorMetrics:
    """The metrics. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "i2v_vendor_requests_total",
            "Requests to the vendor. `kind` is `submit`, `look`, `cancel`, `find`, `upload`, `webhook` or `output`; "
            "`outcome` is `2xx` and so on, `lost` or `not-sent`.",
            ["vendor", "kind", "outcome"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "i2v_vendor_request_seconds",
            "From a request to the vendor to its answer, or to the moment at which none was expected any more. The "
            "bytes of a video are not included.",
            ["vendor", "kind"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self.tasks = Counter(
            "i2v_vendor_tasks_total",
            "Streams that reported the end of a task. `reason` is empty for a video; docs/providers.md has the others.",
            ["vendor", "model", "reason", "charge"],
            registry=registry,
        )
        self.open = Gauge(
            "i2v_vendor_tasks_open", "Tasks that are polled or downloaded now.", ["vendor"], registry=registry
        )
        self.seconds = Histogram(
            "i2v_vendor_work_seconds",
            "From the start of a stream to the end of the vendor's work.",
            ["vendor", "model"],
            buckets=SECONDS,
            registry=registry,
        )
        self.bytes = Counter(
            "i2v_vendor_download_bytes_total", "Bytes of videos that were fetched.", ["vendor"], registry=registry
        )
        self.mixed = Counter(
            "i2v_vendor_mixed_answers_total",
            "Answers for another task, model or page than requested; each counts as no answer. `kind` is one of "
            f"{', '.join(f'`{kind}`' for kind in MIXED_KINDS)}.",
            ["vendor", "kind"],
            registry=registry,
        )
        self.broken = Gauge(
            "i2v_vendor_breaker_open",
            "1 while nothing is submitted because the vendor failed too often; 0 again when the next task will be let "
            "through.",
            ["vendor"],
            registry=registry,
        )


class VendorMeter:
    """The metrics of one vendor's process."""

    def __init__(self, metrics: VendorMetrics, vendor: str) -> None:
        self._metrics = metrics
        self._vendor = vendor
        self._word, self._model = LabelValues(WORDS).of, LabelValues(MODELS).of
        self._open = metrics.open.labels(vendor)
        self._broken = metrics.broken.labels(vendor)
        self._bytes = metrics.bytes.labels(vendor)
        for kind in MIXED_KINDS:
            metrics.mixed.labels(vendor, kind)  # it begins at 0, so that the first increase is seen

    def requested(self, kind: str, outcome: str, seconds: float) -> None:
        """Counts a request: `2xx` and so on, `lost`, or `not-sent`; and its time."""
        self._metrics.requests.labels(self._vendor, self._word(kind), self._word(outcome)).inc()
        if seconds >= 0:
            self._metrics.request_seconds.labels(self._vendor, self._word(kind)).observe(seconds, exemplar())

    def mixed_up(self, kind: str) -> None:
        """Counts an answer for another task: to a `submit`, `look`, `cancel` or `find`, or a `webhook`."""
        self._metrics.mixed.labels(self._vendor, kind).inc()

    def opened(self) -> None:
        """A task is watched."""
        self._open.inc()

    def closed(self) -> None:
        """A task is no longer watched."""
        self._open.dec()

    def ended(self, model: str, reason: str = "", charge: str = "charged") -> None:
        """Counts an end; without a reason it is a video."""
        self._metrics.tasks.labels(self._vendor, self._model(model), self._word(reason), charge).inc()

    def worked(self, model: str, seconds: float) -> None:
        """Records how long the vendor worked on a task."""
        self._metrics.seconds.labels(self._vendor, self._model(model)).observe(seconds, exemplar())

    def fetched(self, size_bytes: int) -> None:
        """Counts bytes of a video."""
        self._bytes.inc(size_bytes)

    def show_breaker(self, is_open: Callable[[], bool]) -> None:
        """Shows the circuit breaker's state. It is read at each scrape, because time alone changes it."""
        self._broken.set_function(is_open)
