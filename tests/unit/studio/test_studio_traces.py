"""The spans of HTTP requests: anyone may send them, and their URLs are credentials."""

import httpx
import pytest
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.studio.metrics import Counted, StudioMetrics
from services.studio.tracing import Traced
from tests.support.recorded_spans import recording

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "a-token-that-only-one-has"


async def answer(request: Request) -> Response:
    return PlainTextResponse("", status_code=503 if "broken" in request.path_params["token"] else 200)


def client() -> httpx.AsyncClient:
    app = Traced(Starlette(routes=[Route("/media/{token}", answer)]))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://studio")


@pytest.mark.parametrize("flags", ["00", "01"])
async def test_a_request_begins_a_trace_of_its_own_which_is_linked_to_the_callers(flags: str) -> None:
    with recording() as kept:
        async with client() as http:
            await http.get(f"/media/{SECRET}?x={SECRET}", headers={"traceparent": f"00-{TRACE}-{SPAN}-{flags}"})
    (span,) = kept
    assert span.parent is None and span.kind is SpanKind.SERVER and span.name == "GET"
    (link,) = span.links
    assert f"{link.context.span_id:016x}" == SPAN
    wanted = {"http.request.method": "GET", "http.response.status_code": 200, "http.route": "/media/{token}"}
    assert dict(span.attributes or {}) == wanted and SECRET not in span.to_json()


@pytest.mark.parametrize("header", ["x" * 10_000, f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01", "\xff"])
async def test_a_wrong_traceparent_is_ignored(header: str) -> None:
    with recording() as kept:
        async with client() as http:
            assert (await http.get("/media/x", headers=[(b"traceparent", header.encode("latin-1"))])).status_code == 200
    (span,) = kept
    assert not span.links


async def test_what_is_counted_of_a_request_has_its_trace() -> None:
    registry = CollectorRegistry()
    counted = Counted(Starlette(routes=[Route("/media/{token}", answer)]), StudioMetrics(registry))
    with recording() as kept:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(Traced(counted)), base_url="http://studio") as http:
            await http.get("/media/x")
    (span,) = kept
    assert span.context is not None
    lines = [
        line for line in generate_latest(registry).decode().splitlines() if f"{span.context.trace_id:032x}" in line
    ]
    assert {line.partition("{")[0] for line in lines} == {
        "i2v_studio_requests_total",
        "i2v_studio_first_byte_seconds_bucket",
    }


async def test_a_fault_of_ours_is_an_error_and_an_unknown_path_has_no_route() -> None:
    with recording() as kept:
        async with client() as http:
            await http.get("/media/broken")
            await http.request("PROPFIND", "/elsewhere")
    broken, unknown = kept
    assert broken.status.status_code is StatusCode.ERROR and (broken.attributes or {})["error.type"] == "503"
    assert unknown.name == "_OTHER" and "http.route" not in (unknown.attributes or {})
