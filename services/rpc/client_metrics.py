"""The standard metrics of a gRPC client: names, labels and label values of go-grpc-prometheus."""

from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.metrics.exemplar import exemplar
from services.rpc.ended_call import code_of
from services.rpc.telemetry import CODE_NAMES, METHOD, SECONDS


class ClientMetrics:
    """The metrics of a process's calls to others. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.started = Counter(
            "grpc_client_started_total", "Calls of this process to others that began.", METHOD, registry=registry
        )
        self.handled = Counter(
            "grpc_client_handled_total",
            "Calls of this process to others that ended, including cancelled ones.",
            (*METHOD, "grpc_code"),
            registry=registry,
        )
        self.received = Counter(
            "grpc_client_msg_received_total", "Messages received from others.", METHOD, registry=registry
        )
        self.sent = Counter("grpc_client_msg_sent_total", "Messages sent to others.", METHOD, registry=registry)
        self.seconds = Histogram(
            "grpc_client_handling_seconds",
            "From the start of a call of this process to its end, as this process sees it.",
            METHOD,
            buckets=SECONDS,
            registry=registry,
        )


class ClientMethod:
    """The metrics of one method that is called."""

    def __init__(self, metrics: ClientMetrics, method: str, kind: str) -> None:
        """`method` is `/package.Service/Method`, `kind` as in `grpc_type`."""
        service, _, name = method.lstrip("/").rpartition("/")
        self._handled, self._labels = metrics.handled, (kind, service, name)
        self._started = metrics.started.labels(*self._labels)
        self._seconds = metrics.seconds.labels(*self._labels)
        self.received = metrics.received.labels(*self._labels)
        self.sent = metrics.sent.labels(*self._labels)

    def watch(self, call: Any) -> None:
        """Counts a call that has begun, and counts it when it ends."""
        began, trace = perf_counter(), exemplar()
        self._started.inc()

        def ended(done: Any) -> None:
            self._handled.labels(*self._labels, CODE_NAMES[code_of(done).value[0]]).inc(1, trace)
            self._seconds.observe(perf_counter() - began, trace)

        call.add_done_callback(ended)
