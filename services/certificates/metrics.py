"""The metrics of the certificates that a process has loaded."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class CertificateMetrics:
    """Implements CertificateMeter. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.expiry = Gauge(
            "i2v_certificate_expiry_timestamp_seconds",
            "When the certificate that ends first ends, in seconds since 1970: of `server`, `client` (what the "
            "process shows to others), `ca` (authorities that it trusts) and `c2pa` (what signs videos; not the "
            "development certificate).",
            ("certificate",),
            registry=registry,
        )
        self.failures = Counter(
            "i2v_certificate_reload_failures_total",
            "New versions of the files that could not be used; the version before them stays.",
            ("certificate",),
            registry=registry,
        )
        self._ends: dict[str, dict[str, float]] = {}

    def valid_until(self, certificate: str, file: str, end_s: float) -> None:
        """Shows the end of a file's certificates: the earliest of the files of its kind."""
        ends = self._ends.setdefault(certificate, {})
        ends[file] = end_s
        self.failures.labels(certificate)  # counters begin at 0, so that an increase is seen
        self.expiry.labels(certificate).set(min(ends.values()))

    def reload_failed(self, certificate: str) -> None:
        """Counts a version that cannot be used."""
        self.failures.labels(certificate).inc()
