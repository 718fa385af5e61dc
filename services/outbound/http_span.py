"""The span of a request to a host outside."""

import httpx

from services.tracing import spans
from services.tracing.spans import Kind, Span, Value


def http_span(method: str, url: httpx.URL, template: str) -> Span:
    """Begins the span of a request. `template` is the URL's path, with names in place of ids.

    Of the URL itself only the host and the port are noted: the rest may be a credential. The host gets no context.
    """
    path = template.partition("?")[0]
    attributes: dict[str, Value] = {"http.request.method": method, "url.template": path, "server.address": url.host}
    if url.port is not None:
        attributes["server.port"] = url.port
    return spans.begin(f"{method} {path}", attributes, Kind.CLIENT)


def note_status(span: Span, status: int) -> None:
    """Notes the status of the answer. From 400 the request has failed."""
    span.set("http.response.status_code", status)
    if status >= 400:
        span.fail(str(status))
