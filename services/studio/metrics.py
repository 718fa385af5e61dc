"""The metrics of the HTTP process."""

from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD", "POST")


class StudioMetrics:
    """What is counted of HTTP. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "i2v_studio_requests_total",
            "Requests that were answered. `method` is `GET`, `HEAD`, `POST` or `other`.",
            ("method", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "i2v_studio_first_byte_seconds", "From a request to the head of its response.", registry=registry
        )
        self.sent = Counter("i2v_studio_sent_bytes_total", "Bytes of assets that were sent.", registry=registry)
        self.open = Gauge("i2v_studio_requests_open", "Requests that are being answered now.", registry=registry)


class Counted:
    """Counts the requests of an application."""

    def __init__(self, app: ASGIApp, metrics: StudioMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        method = scope["method"] if scope["method"] in METHODS else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requests.labels(method, str(message["status"])).inc()
                self._metrics.seconds.observe(perf_counter() - began)
            await send(message)

        began = perf_counter()
        with self._metrics.open.track_inprogress():
            await self._app(scope, receive, counted)
