"""The metrics of shares: a part of the Meter port."""

from prometheus_client import CollectorRegistry, Counter


class ShareMetrics:
    """Counts what readers of shares do."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._shared = Counter(
            "i2v_shared_reads_total",
            "Calls of readers of shares: a `page` or a `file` was shown; it was `locked` by a pass phrase; or it was "
            "`absent`: unknown, ended or deleted.",
            ["outcome"],
            registry=registry,
        )
        self._phrases = Counter(
            "i2v_share_pass_phrases_total",
            "Pass phrases that were tried at shares: `right`, `wrong`, or `refused` because of too many.",
            ["outcome"],
            registry=registry,
        )

    def shared_read(self, outcome: str) -> None:
        """Counts a read of a share."""
        self._shared.labels(outcome).inc()

    def pass_phrase(self, outcome: str) -> None:
        """Counts an attempt at the pass phrase of a share."""
        self._phrases.labels(outcome).inc()
