"""The metrics of the HTTP process, and a log line for each refused request."""

import logging
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.metrics.exemplar import exemplar

log = logging.getLogger(__name__)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class StudioMetrics:
    """What is counted of HTTP. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "i2v_studio_requests_total",
            "Answered requests. `method` is that of HTTP, or `other`; `route` is the template of the path, or `none`.",
            ("method", "route", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "i2v_studio_first_byte_seconds", "From a request to the head of its response.", registry=registry
        )
        self.sent = Counter("i2v_studio_sent_bytes_total", "Bytes of assets that were sent.", registry=registry)
        self.received = Counter(
            "i2v_studio_received_bytes_total", "Bytes of uploads that were received.", registry=registry
        )
        self.streams_open = Gauge(
            "i2v_studio_event_streams_open", "Streams of events that are open now.", registry=registry
        )
        self.streams_ended = Counter(
            "i2v_studio_event_streams_total",
            "Streams of events that have ended. `end` is `complete`, `left` (the reader went), `slow` (it took "
            "nothing), `failed` (the API refused to go on, or was away for too long) or `stopped` (with this process).",
            ("end",),
            registry=registry,
        )
        self.streams_resumed = Counter(
            "i2v_studio_event_stream_resumptions_total",
            "Calls of the API that followed a broken one, for a stream of events that stayed open.",
            registry=registry,
        )
        self.sign_ins = Counter(
            "i2v_studio_sign_ins_total",
            "Sign-ins by the page. `outcome` is `signed-in`, `refused`, or `failed` while the API was away.",
            ("outcome",),
            registry=registry,
        )
        self.open = Gauge("i2v_studio_requests_open", "Requests that are being answered now.", registry=registry)


class Counted:
    """Counts the requests of an application, and logs those that it refuses: without the URL, a credential."""

    def __init__(self, app: ASGIApp, metrics: StudioMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        method = scope["method"] if scope["method"] in METHODS else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                status, took_s = int(message["status"]), perf_counter() - began
                trace = exemplar()
                route = scope.get("route")
                template = route.path if route is not None else "none"
                self._metrics.requests.labels(method, template, str(status)).inc(1, trace)
                self._metrics.seconds.observe(took_s, trace)
                if status >= 400:
                    _log(method, status, scope, took_s)
            await send(message)

        began = perf_counter()
        with self._metrics.open.track_inprogress():
            await self._app(scope, receive, counted)


def _log(method: str, status: int, scope: Scope, took_s: float) -> None:
    level = logging.WARNING if status >= 500 else logging.INFO
    host, port = scope.get("client") or ("", 0)
    fields = {"method": method, "code": str(status), "peer": f"{host}:{port}", "ms": round(took_s * 1000, 2)}
    log.log(level, "refused", extra=fields)
