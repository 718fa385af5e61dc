"""The prompt writer's own metrics, in addition to the standard ones of gRPC."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.metrics.exemplar import exemplar

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class LlmMetrics:
    """The requests to the language model. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "i2v_llm_requests_total",
            "Requests to the language model: `answered`, also with an answer that cannot be used; `late`, "
            "`unreachable`, `too-large`, `given-up` by the caller, or what a status means: `quota`, `key`, `refused`, "
            "`busy`, `broken`.",
            ["outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "i2v_llm_request_seconds",
            "From a request to the language model to its answer, or to the moment at which none was expected any more.",
            buckets=SECONDS,
            registry=registry,
        )

    def requested(self, outcome: str, seconds: float) -> None:
        """Counts a request, and its time."""
        self._requests.labels(outcome).inc()
        self._seconds.observe(max(0.0, seconds), exemplar())
