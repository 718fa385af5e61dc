"""The metrics of the operation of a process: a part of the Meter port."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.orchestrator.meters.label_names import LabelNames

TASKS = (
    "revocation",
    "key-uses",
    "signing-keys",
    "drains",
    "vendors",
    "retention",
    "health",
    "config",
    "usage-warnings",
    "rollups",
    "read-counts",
    "finished-videos",
    "fleet",
    "inventory",
    "database-state",
    "deletions of users",
    "ended-sessions",
    "password",
    "sweep",
    "webhooks-living",
    "webhooks-failing",
    "webhook-backlog",
)
"""The background tasks of all roles."""


class OperationMetrics:
    """Counts what operators do and what a process needs."""

    def __init__(self, registry: CollectorRegistry, names: LabelNames) -> None:
        self._operation_names = names
        self._acts = Counter(
            "i2v_admin_acts_total",
            "What operators and tenants' admins changed by RPC, and what of it was refused: the outcome is `DONE` or "
            "the reason. The audit log has the details.",
            ["action", "outcome"],
            registry=registry,
        )
        self._issuer = Counter(
            "i2v_issuer_reads_total",
            "Reads of the keys of the tokens' issuer: `read` or `failed`.",
            ["result"],
            registry=registry,
        )
        self._background = Counter(
            "i2v_background_failures_total",
            "Background tasks of a process that failed unexpectedly; each is logged and started again. `task` is one "
            f"of {', '.join(f'`{task}`' for task in TASKS)}. Anything but 0 is a fault; for `revocation`, open streams "
            "may outlive their keys.",
            ["task"],
            registry=registry,
        )
        for task in TASKS:
            self._background.labels(task)  # it begins at 0, so that the first increase is seen
        self._free = Gauge(
            "i2v_disk_free_bytes",
            "Free bytes on the disks that this process writes to, measured every 2 seconds: `spool`, and `blobs` if "
            "they are local.",
            ["place"],
            registry=registry,
        )
        self._leftovers = Counter(
            "i2v_leftovers_removed_total",
            "Folders that ended processes had left in the spool and among local blobs, and that this process removed.",
            registry=registry,
        )
        self._copies = Counter(
            "i2v_blob_copies_total",
            "Keys that `i2v admin blobs copy` has looked at on this process: `copied`, `present`, `deleted` "
            "meanwhile, `waiting`, `altered`, `missing`.",
            ["outcome"],
            registry=registry,
        )

    def acted(self, action: str, outcome: str) -> None:
        """Counts an act of an operator or of a tenant's admin."""
        self._acts.labels(self._operation_names.word(action), self._operation_names.word(outcome)).inc()

    def issuer_read(self, result: str) -> None:
        """Counts a read of the keys of the tokens' issuer: `read` or `failed`."""
        self._issuer.labels(result).inc()

    def background_failed(self, task: str) -> None:
        """Counts a failure of a background task."""
        self._background.labels(task).inc()

    def disk_free(self, place: str, size_bytes: int) -> None:
        """Sets the free bytes of a disk."""
        self._free.labels(place).set(size_bytes)

    def leftovers_removed(self, folders: int) -> None:
        """Counts folders of ended processes that were removed."""
        self._leftovers.inc(folders)

    def blob_copied(self, outcome: str) -> None:
        """Counts a key that a copy between stores has looked at."""
        self._copies.labels(outcome).inc()
