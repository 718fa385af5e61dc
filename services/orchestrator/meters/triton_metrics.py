"""The metrics of Tritons, each by its address."""

from prometheus_client import CollectorRegistry, Gauge


class TritonMetrics:
    """The ServerMeter port. A Triton that is gone is no longer reported, so there are as many series as Tritons."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["backend", "server"]
        self._listed = Gauge(
            "i2v_triton_listed",
            "Tritons that the setting and DNS list for a backend; 0 while an autoscaler has stopped all.",
            ["backend"],
            registry=registry,
        )
        self._ready = Gauge(
            "i2v_triton_ready",
            "1 while this worker gives jobs to this Triton; `server` is its address. One that DNS no "
            "longer lists is no longer reported, and at most 64 of a backend are.",
            labels,
            registry=registry,
        )
        self._slots = Gauge(
            "i2v_triton_slots",
            "Jobs at a time of all workers on this Triton: the slots of its profile. Every worker reports it: take the "
            "maximum.",
            labels,
            registry=registry,
        )
        self._jobs = Gauge("i2v_triton_jobs", "Jobs that this worker has on this Triton.", labels, registry=registry)

    def listed(self, backend: str, servers: int) -> None:
        """Sets how many servers a backend has."""
        self._listed.labels(backend).set(servers)

    def server(self, backend: str, server: str, *, ready: bool, slots: int, jobs: int) -> None:
        """Sets the gauges of a server."""
        self._ready.labels(backend, server).set(ready)
        self._slots.labels(backend, server).set(slots)
        self._jobs.labels(backend, server).set(jobs)

    def server_gone(self, backend: str, server: str) -> None:
        """Removes the gauges of a server."""
        for gauge in (self._ready, self._slots, self._jobs):
            gauge.remove(backend, server)
