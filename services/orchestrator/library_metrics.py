"""The Prometheus metrics of the library; docs/metrics.md lists them."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.orchestrator.assets.scrub import Fault
from services.orchestrator.domain.rendition import SIGNED, Recipe, Variant
from services.orchestrator.ports.library_meter import Step

RENDITION_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)


class LibraryMetrics:
    """The LibraryMeter port, kept in a Prometheus registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._renditions = Counter(
            "i2v_renditions_total",
            "Renditions that this process has `made`, or that `failed` because of their file.",
            ["variant", "result"],
            registry=registry,
        )
        self._unsigned = Counter(
            "i2v_renditions_unsigned_total",
            "Renditions of generated videos that could not be signed, and were stored unsigned; the log says why.",
            ["variant"],
            registry=registry,
        )
        self._rendered = Histogram(
            "i2v_rendition_seconds",
            "From reading the asset to the stored renditions that are made together: `stills` are poster and "
            "thumbnails.",
            ["recipe"],
            buckets=RENDITION_SECONDS,
            registry=registry,
        )
        self._deletions = Counter(
            "i2v_library_deletions_total",
            "Entries of the library that were `trashed`, `restored` or `purged`: deleted for good by a call or from "
            "the trash by age. What a plan's rules move to the trash is in `i2v_retention_removed_total`, kind "
            "`library`.",
            ["step"],
            registry=registry,
        )
        self._given_back = Counter(
            "i2v_library_given_back_bytes_total",
            "Bytes that these deletions for good gave back to the users' limits.",
            registry=registry,
        )
        self._removed = Counter(
            "i2v_collector_removed_bytes_total",
            "Bytes of assets that the collector removed from the store, a day after the last asset that needed them.",
            registry=registry,
        )
        self._scrubbed = Counter(
            "i2v_scrub_blobs_total",
            "Blobs that scrubs of this process looked at, those that were read and those that were listed.",
            registry=registry,
        )
        self._faults = Counter(
            "i2v_scrub_faults_total",
            "What they found: `missing`, `altered` or `unreferenced`. A scrub that is repeated counts again.",
            ["fault"],
            registry=registry,
        )
        # Prometheus sees no increase in a series that begins with 1.
        for fault in Fault:
            self._faults.labels(fault)
        for variant in SIGNED:
            self._unsigned.labels(variant)

    def renditions_made(self, recipe: Recipe, variants: Sequence[Variant], seconds: float) -> None:
        """Counts renditions that were made together, and their time."""
        self._rendered.labels(recipe).observe(seconds)
        for variant in variants:
            self._renditions.labels(variant, "made").inc()

    def renditions_failed(self, variants: Sequence[Variant]) -> None:
        """Counts renditions that cannot be made."""
        for variant in variants:
            self._renditions.labels(variant, "failed").inc()

    def rendition_unsigned(self, variant: Variant) -> None:
        """Counts a rendition that was stored without the manifest that it should have."""
        self._unsigned.labels(variant).inc()

    def deletion(self, step: Step) -> None:
        """Counts an entry that was deleted or restored."""
        self._deletions.labels(step).inc()

    def given_back(self, size_bytes: int) -> None:
        """Counts the bytes of a deletion for good."""
        self._given_back.inc(size_bytes)

    def bytes_removed(self, size_bytes: int) -> None:
        """Counts bytes that are no longer in the store."""
        self._removed.inc(size_bytes)

    def scrubbed(self, fault: str) -> None:
        """Counts a blob that a scrub looked at, and its fault."""
        self._scrubbed.inc()
        if fault:
            self._faults.labels(fault).inc()
