"""The metrics of what is removed by age."""

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.orchestrator.domain.retention import Due, Kind


class RetentionMetrics:
    """Counts what is removed, and shows what is due."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._removed = Counter(
            "i2v_retention_removed_total",
            "Old things that this process removed: `events` counts jobs whose events went, then `jobs`, "
            "`queue-entries`, `checkpoints`, `uploads`, `library` for assets that went to the trash, `trash` and "
            "`bytes`.",
            ["kind"],
            registry=registry,
        )
        for kind in Kind:
            self._removed.labels(kind)  # it begins at 0, so that the first increase is seen
        self._retained = Gauge(
            "i2v_retention_round_timestamp_seconds",
            "When this process finished its last round of retention. One process runs a round at a time, so take the "
            "maximum.",
            ["kind"],
            registry=registry,
        )
        self._deletions = Gauge(
            "i2v_user_deletions_open",
            "Deletions of users that were not done after this worker's last round. One worker runs a round at a time, "
            "so take the newest.",
            registry=registry,
        )
        self._due = Gauge(
            "i2v_retention_due",
            "Things that this round has left although they are due: it stopped at its limit, or they may still be "
            "needed.",
            ["kind"],
            registry=registry,
        )
        self._oldest = Gauge(
            "i2v_retention_oldest_timestamp_seconds",
            "When the oldest of these ended or was written; 0 if there is none.",
            ["kind"],
            registry=registry,
        )

    def removed(self, kind: Kind, count: int) -> None:
        """Counts removed things."""
        self._removed.labels(kind).inc(count)

    def retention_round(self, kind: Kind, time: datetime, due: Due) -> None:
        """Sets when a round of a kind succeeded, and what it has left."""
        self._retained.labels(kind).set(time.timestamp())
        self._due.labels(kind).set(due.count)
        self._oldest.labels(kind).set(due.oldest.timestamp() if due.oldest is not None else 0)

    def user_deletions(self, count: int) -> None:
        """Sets how many are not done."""
        self._deletions.set(count)
