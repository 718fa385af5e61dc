"""The standard gRPC metrics: names, labels and label values of go-grpc-prometheus, which public dashboards expect.

Per method, everything is looked up once, so that counting costs a call about two microseconds a metric.
"""

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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

METHOD = ("grpc_type", "grpc_service", "grpc_method")


class MethodMetrics:
    """The metrics of one method."""

    __slots__ = ("_handled", "_labels", "_of_code", "open", "received", "seconds", "sent", "started")

    def __init__(self, metrics: "ServerMetrics", labels: tuple[str, str, str]) -> None:
        self._labels = labels
        self._handled = metrics.handled
        self._of_code: dict[str, Counter] = {}
        self.started = metrics.started.labels(*labels)
        self.received = metrics.received.labels(*labels)
        self.sent = metrics.sent.labels(*labels)
        self.seconds = metrics.seconds.labels(*labels)
        self.open = None if labels[0] == "unary" else metrics.open.labels(*labels)

    def handled(self, code: str) -> None:
        """Counts an answer."""
        counter = self._of_code.get(code)
        if counter is None:
            counter = self._of_code[code] = self._handled.labels(*self._labels, code)
        counter.inc()


class ServerMetrics:
    """The metrics of a server. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.started = Counter("grpc_server_started_total", "Calls that began.", METHOD, registry=registry)
        self.handled = Counter(
            "grpc_server_handled_total",
            "Calls that ended, including cancelled ones.",
            (*METHOD, "grpc_code"),
            registry=registry,
        )
        self.received = Counter("grpc_server_msg_received_total", "Messages received.", METHOD, registry=registry)
        self.sent = Counter("grpc_server_msg_sent_total", "Messages sent.", METHOD, registry=registry)
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

    def method(self, method: str, kind: str) -> MethodMetrics:
        """Returns the metrics of a method, `/package.Service/Method`."""
        service, _, name = method.lstrip("/").rpartition("/")
        return MethodMetrics(self, (kind, service, name))
