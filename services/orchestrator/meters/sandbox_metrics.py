"""The metrics of the processes that open files."""

from typing import get_args

from prometheus_client import CollectorRegistry, Counter

from services.orchestrator.media.sandbox_failures import FAILURES, Kind, count_with


class SandboxMetrics:
    """Counts the failures of all sandboxes of this process. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._failures = Counter(
            "i2v_sandbox_failures_total",
            "Processes for files that failed. `kind` is what they are for, such as `pictures`; `failure` is `crashed`, "
            "`killed`, `out-of-time` for a file that takes too much, `starved` of processor time by others, or "
            "`no-start`.",
            ["kind", "failure"],
            registry=registry,
        )
        for kind in get_args(Kind):
            for failure in FAILURES:
                self._failures.labels(kind, failure)  # it begins at 0, so that the first increase is seen
        count_with(self)

    def failed(self, kind: str, failure: str) -> None:
        """Counts a failure."""
        self._failures.labels(kind, failure).inc()
