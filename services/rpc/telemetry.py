"""The standard gRPC metrics: names, labels and label values of go-grpc-prometheus, which public dashboards expect.

Per method, everything is looked up once, so that counting costs a call about two microseconds a metric.
"""

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.metrics.exemplar import exemplar

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
KINDS = {
    (False, False): "unary",
    (True, False): "client_stream",
    (False, True): "server_stream",
    (True, True): "bidi_stream",
}
"""By (request is a stream, response is a stream)."""
CODE_NAMES: dict[int, str] = {
    code.value[0]: "OK" if code is grpc.StatusCode.OK else code.name.title().replace("_", "")
    for code in grpc.StatusCode
}
CODE_NAMES[grpc.StatusCode.CANCELLED.value[0]] = "Canceled"
"""Go's spelling, by number."""

UNIMPLEMENTED = CODE_NAMES[grpc.StatusCode.UNIMPLEMENTED.value[0]]
UNKNOWN_METHOD = ("unary", "unknown", "unknown")
METHOD = ("grpc_type", "grpc_service", "grpc_method")


class MethodMetrics:
    """The metrics of one method."""

    __slots__ = (
        "_handled",
        "_labels",
        "_of_code",
        "_received",
        "_received_bytes",
        "_seconds",
        "open",
        "sent",
        "sent_bytes",
        "started",
    )

    def __init__(self, metrics: "ServerMetrics", labels: tuple[str, str, str]) -> None:
        self._labels = labels
        self._handled = metrics.handled
        self._of_code: dict[str, Counter] = {}
        self.started = metrics.started.labels(*labels)
        self._received = metrics.received.labels(*labels)
        self._received_bytes = metrics.received_bytes.labels(*labels)
        self.sent = metrics.sent.labels(*labels)
        self.sent_bytes = metrics.sent_bytes.labels(*labels)
        self._seconds = metrics.seconds.labels(*labels)
        self.open = None if labels[0] == "unary" else metrics.open.labels(*labels)

    def received(self, size_bytes: int) -> None:
        """Counts a message."""
        self._received.inc()
        self._received_bytes.inc(size_bytes)

    def handled(self, code: str, seconds: float) -> None:
        """Counts an answer and its time, with the trace of the call."""
        trace = exemplar()
        self._seconds.observe(seconds, trace)
        counter = self._of_code.get(code)
        if counter is None:
            counter = self._of_code[code] = self._handled.labels(*self._labels, code)
        counter.inc(1, trace)


class ServerMetrics:
    """The metrics of a server. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.started = Counter("grpc_server_started_total", "Calls that began.", METHOD, registry=registry)
        self.handled = Counter(
            "grpc_server_handled_total",
            "Calls that ended, including cancelled ones. A method that is not served is `unknown`.",
            (*METHOD, "grpc_code"),
            registry=registry,
        )
        self.received = Counter("grpc_server_msg_received_total", "Messages received.", METHOD, registry=registry)
        self.sent = Counter("grpc_server_msg_sent_total", "Messages sent.", METHOD, registry=registry)
        self.received_bytes = Counter(
            "i2v_call_received_bytes_total", "Bytes of the messages received.", METHOD, registry=registry
        )
        self.sent_bytes = Counter("i2v_call_sent_bytes_total", "Bytes of the messages sent.", METHOD, registry=registry)
        self.seconds = Histogram(
            "grpc_server_handling_seconds",
            "From the start of a call to its end. A watch lasts as long as its job.",
            METHOD,
            buckets=SECONDS,
            registry=registry,
        )
        self.rejected = Counter(
            "i2v_calls_rejected_total",
            "Calls that were refused before their method ran, or ended while it ran: no key, too many, too slow, "
            "malformed. docs/operations.md has the reasons.",
            ("reason",),
            registry=registry,
        )
        self.open = Gauge("grpc_server_streams_open", "Streams that are open now.", METHOD, registry=registry)

        self._rejected: dict[str, Counter] = {}

    def reject(self, reason: str) -> None:
        """Counts a call that did not end in its method. `reason` is one of ours, never text of the caller."""
        counter = self._rejected.get(reason)
        if counter is None:
            counter = self._rejected[reason] = self.rejected.labels(reason)
        counter.inc()

    def unknown(self) -> None:
        """Counts a call of a method that is not served. Its name, which the caller chose, is no label."""
        self.started.labels(*UNKNOWN_METHOD).inc()
        self.handled.labels(*UNKNOWN_METHOD, UNIMPLEMENTED).inc()

    def method(self, method: str, kind: str) -> MethodMetrics:
        """Returns the metrics of a method, `/package.Service/Method`."""
        service, _, name = method.lstrip("/").rpartition("/")
        return MethodMetrics(self, (kind, service, name))
