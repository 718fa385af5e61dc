"""How paths of `/v1` answer: in the form of OpenAI's API, without words of gRPC, and so that no job is made twice."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message

from services.reasons import ServiceReason
from services.rpc.status_codes import Failure
from services.studio.api_error import ApiError
from services.studio.caller import Caller
from services.studio.refused_request import RefusedRequest
from services.studio.request_body import BYTES_MOST, Bodies
from services.studio.resource import Endpoint, Resource
from services.studio.videos import error_json
from services.studio.videos.video_body import fields

ANN, BOB = "Bearer ann", "Bearer bob"
KEY = {"Authorization": "Bearer key"}
GRPC_WORDS = "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.3.9:50051: Connection refused"


async def broken(request: Request, who: Caller) -> Response:
    if "away" in request.query_params:
        raise ApiError(Failure(grpc.StatusCode.UNAVAILABLE, GRPC_WORDS))
    if "busy" in request.query_params:
        raise ApiError(
            Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many", ServiceReason.DISK_FULL, retry_after_s=2)
        )
    if "fault" in request.query_params:
        raise ZeroDivisionError("with a secret")
    return JSONResponse({})


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    def resource(**methods: Endpoint) -> Resource:
        return Resource(methods, error_json, options=False)

    routes = [Route("/v1/x", resource(GET=broken, POST=broken)), Route("/v1/{path:path}", resource())]
    transport = httpx.ASGITransport(Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://studio", headers=KEY) as client:
        yield client


async def test_unknown_paths_and_methods_are_refused_in_the_clients_form(http: httpx.AsyncClient) -> None:
    for method, path, status, reason in (
        ("GET", "/v1/x/", 404, "PATH_UNKNOWN"),
        ("POST", "/v1/completions", 404, "PATH_UNKNOWN"),
        ("PUT", "/v1/x", 405, "METHOD_UNSUPPORTED"),
        ("OPTIONS", "/v1/x", 405, "METHOD_UNSUPPORTED"),
        ("PROPFIND", "/v1/x", 405, "METHOD_UNSUPPORTED"),
    ):
        answer = await http.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, reason)
        assert answer.headers.get("allow") == ("HEAD, GET, POST" if status == 405 else None)
        assert "access-control-allow-origin" not in answer.headers
    assert (await http.head("/v1/x")).status_code == 200


async def test_what_grpc_says_of_our_addresses_reaches_no_caller(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/x?away")
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")
    assert "10.0.3.9" not in answer.text


async def test_a_fault_is_an_error_in_the_same_form_and_says_nothing(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/x?fault")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL")
    assert "secret" not in answer.text


@pytest.mark.parametrize("trouble", ["away", "fault"])
async def test_a_submission_of_unknown_outcome_is_sent_again_only_with_a_key(
    http: httpx.AsyncClient, trouble: str
) -> None:
    url = f"/v1/x?{trouble}"
    assert (await http.post(url)).headers["x-should-retry"] == "false"
    assert "x-should-retry" not in (await http.post(url, headers={"Idempotency-Key": "1"})).headers
    assert "x-should-retry" not in (await http.get(url)).headers


async def test_a_refusal_by_a_limit_may_be_sent_again(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/x?busy")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert "x-should-retry" not in answer.headers


def request_of(*pieces: bytes, done: asyncio.Event | None = None) -> Request:
    """A request whose body stays open until `done`."""
    waiting = list(pieces)

    async def receive() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": True}
        if done is not None:
            await done.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(b"content-type", b"application/json")]
    return Request({"type": "http", "method": "POST", "headers": headers, "query_string": b""}, receive)


async def test_the_bodies_that_are_held_at_a_time_are_bounded_together() -> None:
    bodies, done = Bodies(most=100), asyncio.Event()

    async def hold() -> None:
        async with bodies.of(request_of(b'{"prompt": "', b"a" * 30, b'"}', done=done), ANN, fields) as (found, _):
            assert found == {"prompt": "a" * 30}

    held = asyncio.create_task(hold())
    await asyncio.sleep(0)
    for who, size in ((ANN, 10), (ANN, 10), (BOB, 40)):
        with pytest.raises(RefusedRequest) as caught:
            async with bodies.of(request_of(b'"' + b"b" * size), who, fields):
                pass
        assert (caught.value.status, caught.value.reason) == (503, "BODIES_FULL")
    async with bodies.of(request_of(b'{"prompt": "b"}'), BOB, fields) as (found, _):
        assert found == {"prompt": "b"}, "one caller does not take what others need"
    done.set()
    await held
    async with bodies.of(request_of(b'{"prompt": "b"}'), ANN, fields) as (found, _):
        assert found == {"prompt": "b"}


async def test_one_body_is_bounded() -> None:
    with pytest.raises(RefusedRequest) as caught:
        async with Bodies().of(request_of(b"a" * BYTES_MOST, b"a"), ANN, fields):
            pass
    assert caught.value.status == 413


async def test_a_body_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(RefusedRequest) as caught:
        async with Bodies(seconds=0.01).of(request_of(b'{"prompt": "', done=asyncio.Event()), ANN, fields):
            pass
    assert (caught.value.status, caught.value.reason) == (408, "BODY_SLOW")
