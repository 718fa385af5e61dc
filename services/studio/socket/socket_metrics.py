"""The metrics of Socket.IO."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class SocketMetrics:
    """What is counted. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.open = Gauge("i2v_studio_sockets_open", "Connections of known callers.", registry=registry)
        self.ended = Counter(
            "i2v_studio_sockets_total",
            "Connections that have ended. `end` is `left` (the client went, or its connection broke), `slow` (it took "
            "too little), `flood` (it sent too much), `refused` (its key holds no more) or `stopped` (with this "
            "process).",
            ("end",),
            registry=registry,
        )
        self.events = Counter(
            "i2v_studio_socket_events_total",
            "Events of clients. `event` is its name, or `other`; `outcome` is `done`, `refused` or `failed`.",
            ("event", "outcome"),
            registry=registry,
        )
        self.frames = Counter("i2v_studio_socket_frames_total", "Frames that were sent.", registry=registry)
        self.resumed = Counter(
            "i2v_studio_socket_resumptions_total", "Jobs that a connection continued after a break.", registry=registry
        )
        self.unreadable = Counter(
            "i2v_studio_socket_unreadable_total", "Fragments that could not be shown as pictures.", registry=registry
        )
        self.decoded = Histogram(
            "i2v_studio_socket_decode_seconds", "Time to make the pictures of a fragment.", registry=registry
        )
