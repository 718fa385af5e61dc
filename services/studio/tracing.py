"""The span of an HTTP request. Its URL is a credential, so it is not noted; the route is."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.studio.metrics import METHODS
from services.tracing import spans
from services.tracing.trace_context import TraceContext


class Traced:
    """Makes a span of each request. Anyone may send one, so each begins a trace of its own, linked to the caller's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        caller = TraceContext.of_headers(
            [(name.decode("latin-1"), text.decode("latin-1")) for name, text in scope["headers"]]
        )
        with spans.entry(method, spans.Kind.SERVER, {"http.request.method": method}, link=caller) as span:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.fail(str(message["status"]))
                await send(message)

            await self._app(scope, receive, noted)
            if (route := scope.get("route")) is not None:
                span.set("http.route", route.path)
