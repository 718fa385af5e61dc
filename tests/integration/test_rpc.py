"""A real server on a free port, with a service of plain bytes: what every method of ours gets from services.rpc."""

import asyncio
import json
import logging
import shutil
import socket
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import CollectorRegistry

from services.errors import InvalidInput, NotFound, Unauthenticated, Violation
from services.rpc import logs
from services.rpc.auth import principal
from services.rpc.server import CannotListenError, RpcServer, Tls, serve
from services.rpc.status import from_call
from services.rpc.telemetry import serve_metrics

SERVICE = "test.Parrot"
KEY = (("authorization", "Bearer good-key"), ("i2v-user", "ann"))
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass
class Parrot:
    """Does what the request says."""

    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a method waits."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Lets it go on."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a stream's resources were given back."""

    async def say(self, request: bytes, context: Context) -> bytes:
        match request:
            case b"who":
                return f"{principal().tenant}/{principal().user}/{logs.request_id()}".encode()
            case b"invalid":
                raise InvalidInput([Violation("name", "is empty", "NAME_MISSING")], reason="NAME_MISSING")
            case b"break":
                raise RuntimeError("select * from secrets")
            case b"cancel":
                raise asyncio.CancelledError
            case b"wait":
                self.waiting.set()
                await self.released.wait()
            case b"abort":
                await context.abort(grpc.StatusCode.DATA_LOSS, "gone")
            case b"log":
                logs.bind(job_id="7")
                logging.getLogger("parrot").info("said")
        return request

    async def count(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        return b"%d" % len([each async for each in requests])

    async def repeat(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            for _ in range(3):
                yield request
            if request == b"missing":
                raise NotFound("thing", "7")
            if request == b"wait":
                self.waiting.set()
                await self.released.wait()
        finally:
            self.closed.set()

    async def write(self, request: bytes, context: Context) -> None:
        for _ in range(3):
            await context.write(request)

    async def echo(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for each in requests:
            yield each

    async def echo_back(self, requests: AsyncIterator[bytes], context: Context) -> None:
        while isinstance(each := await context.read(), bytes):
            await context.write(each)

    def register(self, server: grpc.aio.Server) -> None:
        handlers: dict[str, Any] = {
            "Say": grpc.unary_unary_rpc_method_handler(self.say),
            "Count": grpc.stream_unary_rpc_method_handler(self.count),
            "Repeat": grpc.unary_stream_rpc_method_handler(self.repeat),
            "Write": grpc.unary_stream_rpc_method_handler(self.write),
            "Echo": grpc.stream_stream_rpc_method_handler(self.echo),
            "EchoBack": grpc.stream_stream_rpc_method_handler(self.echo_back),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


async def verify(token: str) -> str:
    if token != "good-key":
        raise Unauthenticated("This key is not known.", reason="API_KEY_UNKNOWN")
    return "acme"


@dataclass
class Rig:
    parrot: Parrot
    registry: CollectorRegistry
    server: RpcServer
    channel: Any  # Without serialisers its stubs have no types.

    def method(self, name: str) -> str:
        return f"/{SERVICE}/{name}"

    async def say(self, request: bytes, metadata: Any = KEY, timeout_s: float | None = 5) -> bytes:
        answer: bytes = await self.channel.unary_unary(self.method("Say"))(
            request, metadata=metadata, timeout=timeout_s
        )
        return answer

    async def fails(self, request: bytes, metadata: Any = KEY, timeout_s: float = 5) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.say(request, metadata, timeout_s)
        return caught.value

    def metric(self, name: str, method: str, **more: str) -> float:
        """One sample, whatever its type; 0 if there is none."""
        labels = {"grpc_method": method, **more}
        samples = [each for family in self.registry.collect() for each in family.samples if each.name == name]
        return sum(each.value for each in samples if labels.items() <= each.labels.items())

    async def metric_becomes(self, value: float, name: str, method: str, **more: str) -> None:
        """The client has its answer a moment before the server has counted it."""
        async with asyncio.timeout(5):
            while self.metric(name, method, **more) != value:  # noqa: ASYNC110  Prometheus tells nobody.
                await asyncio.sleep(0.001)


Start = Callable[..., Awaitable[Rig]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def starts(**options: Any) -> Rig:
            parrot, registry = Parrot(), CollectorRegistry()
            server = await serve(
                "127.0.0.1:0",
                [parrot.register],
                **{"services": [SERVICE], "registry": registry, "verify": verify, **options},
            )
            stack.push_async_callback(server.drain, 0)
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
            stack.push_async_callback(channel.close)
            return Rig(parrot, registry, server, channel)

        yield starts


@pytest.fixture
async def rig(start: Start) -> Rig:
    return await start()


async def three() -> AsyncIterator[bytes]:
    for each in (b"a", b"b", b"c"):
        yield each


CALLS: dict[str, tuple[str, int, int, Callable[[Any, str], Any]]] = {
    "Say": ("unary", 1, 1, lambda channel, method: channel.unary_unary(method)(b"a", metadata=KEY)),
    "Count": ("client_stream", 3, 1, lambda channel, method: channel.stream_unary(method)(three(), metadata=KEY)),
    "Repeat": ("server_stream", 1, 3, lambda channel, method: channel.unary_stream(method)(b"a", metadata=KEY)),
    "Write": ("server_stream", 1, 3, lambda channel, method: channel.unary_stream(method)(b"a", metadata=KEY)),
    "Echo": ("bidi_stream", 3, 3, lambda channel, method: channel.stream_stream(method)(three(), metadata=KEY)),
    "EchoBack": ("bidi_stream", 3, 3, lambda channel, method: channel.stream_stream(method)(three(), metadata=KEY)),
}


@pytest.mark.parametrize("method", CALLS)
async def test_every_kind_of_method_is_counted(rig: Rig, method: str) -> None:
    kind, received, sent, call = CALLS[method]
    made = call(rig.channel, rig.method(method))
    answers = [each async for each in made] if hasattr(made, "__aiter__") else [await made]
    assert len(answers) == sent
    await rig.metric_becomes(1, "grpc_server_handled_total", method, grpc_type=kind, grpc_code="OK")
    assert rig.metric("grpc_server_started_total", method, grpc_type=kind) == 1
    assert rig.metric("grpc_server_msg_received_total", method, grpc_type=kind) == received
    assert rig.metric("grpc_server_msg_sent_total", method, grpc_type=kind) == sent
    assert rig.metric("grpc_server_handling_seconds_count", method, grpc_type=kind) == 1
    assert rig.metric("grpc_server_streams_open", method) == 0


async def test_a_cancelled_stream_is_counted_and_gives_its_resources_back(rig: Rig) -> None:
    call = rig.channel.unary_stream(rig.method("Repeat"))(b"wait", metadata=KEY)
    await anext(aiter(call))
    await rig.parrot.waiting.wait()
    assert rig.metric("grpc_server_streams_open", "Repeat") == 1
    call.cancel()
    await rig.metric_becomes(1, "grpc_server_handled_total", "Repeat", grpc_code="Canceled")
    assert rig.metric("grpc_server_streams_open", "Repeat") == 0
    assert rig.parrot.closed.is_set()


async def test_a_call_that_outlives_its_deadline_is_counted_as_that(rig: Rig) -> None:
    assert (await rig.fails(b"wait", timeout_s=0.05)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await rig.metric_becomes(1, "grpc_server_handled_total", "Say", grpc_code="DeadlineExceeded")


async def test_metrics_are_served_over_http(rig: Rig) -> None:
    await rig.say(b"a")
    port, close = serve_metrics(0, rig.registry)
    try:
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read())
    finally:
        close()
    assert b'grpc_server_started_total{grpc_method="Say",grpc_service="test.Parrot",grpc_type="unary"} 1.0' in answer


async def test_health_needs_no_key_and_follows_set_serving(rig: Rig) -> None:
    health = health_pb2_grpc.HealthStub(rig.channel)
    watch = aiter(health.Watch(health_pb2.HealthCheckRequest(service=SERVICE)))
    assert (await anext(watch)).status == SERVING
    await rig.server.set_serving(False)
    assert (await anext(watch)).status == NOT_SERVING
    assert (await health.Check(health_pb2.HealthCheckRequest())).status == NOT_SERVING
    assert (await health.Check(health_pb2.HealthCheckRequest(service="liveness"))).status == SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health.Check(health_pb2.HealthCheckRequest(service="nobody"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_watcher_of_health_that_leaves_does_not_deafen_the_others(rig: Rig) -> None:
    health = health_pb2_grpc.HealthStub(rig.channel)
    leaves, stays = (health.Watch(health_pb2.HealthCheckRequest(service=SERVICE)) for _ in range(2))
    assert (await leaves.read()).status == (await stays.read()).status == SERVING
    leaves.cancel()
    await rig.metric_becomes(1, "grpc_server_handled_total", "Watch", grpc_code="Canceled")
    await rig.server.set_serving(False)
    assert (await stays.read()).status == NOT_SERVING
    unknown = health.Watch(health_pb2.HealthCheckRequest(service="nobody"))
    assert (await unknown.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


async def test_a_client_that_balances_by_health_can_call(rig: Rig) -> None:
    config = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": SERVICE}}
    options = [("grpc.service_config", json.dumps(config))]
    channel: Any = grpc.aio.insecure_channel(f"127.0.0.1:{rig.server.port}", options=options)
    async with channel:
        assert await channel.unary_unary(rig.method("Say"))(b"a", metadata=KEY, timeout=5) == b"a"


async def test_a_failure_keeps_its_kind_and_its_details(rig: Rig) -> None:
    failure = from_call(await rig.fails(b"invalid"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "NAME_MISSING")
    assert failure.violations == (Violation("name", "is empty", "NAME_MISSING"),)
    await rig.metric_becomes(1, "grpc_server_handled_total", "Say", grpc_code="InvalidArgument")


async def test_a_stream_may_fail_after_messages(rig: Rig) -> None:
    stream = rig.channel.unary_stream(rig.method("Repeat"))(b"missing", metadata=KEY)
    assert [await stream.read() for _ in range(3)] == [b"missing"] * 3
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert from_call(caught.value).reason == "NOT_FOUND"
    await rig.metric_becomes(1, "grpc_server_handled_total", "Repeat", grpc_code="NotFound")


async def test_an_abort_by_the_servicer_itself_is_left_as_it_is(rig: Rig) -> None:
    assert (await rig.fails(b"abort")).details() == "gone"
    await rig.metric_becomes(1, "grpc_server_handled_total", "Say", grpc_code="DataLoss")


async def test_an_unexpected_failure_is_hidden_from_the_caller_and_logged_with_its_id(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    error = await rig.fails(b"break")
    failure = from_call(error)
    assert (failure.code, failure.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secrets" not in str(error)
    logged = next(each for each in caplog.records if each.levelno == logging.ERROR)
    assert vars(logged)["error_id"] == failure.metadata["error_id"]
    assert "select * from secrets" in caplog.text


async def test_a_handler_that_cancels_itself_still_answers(rig: Rig) -> None:
    assert (await rig.fails(b"cancel")).code() is grpc.StatusCode.INTERNAL


async def test_the_key_says_which_tenant_and_the_metadata_which_user(rig: Rig) -> None:
    assert (await rig.say(b"who")).startswith(b"acme/ann/")
    assert (await rig.say(b"who", metadata=KEY[:1])).startswith(b"acme/default/")


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "API_KEY_MISSING"),
        ("", "API_KEY_MISSING"),
        ("Bearer ", "API_KEY_MISSING"),
        ("Basic good-key", "API_KEY_MISSING"),
        ("Bearer bad-key", "API_KEY_UNKNOWN"),
    ],
)
async def test_without_a_known_key_nothing_is_done(rig: Rig, authorization: str | None, reason: str) -> None:
    metadata = () if authorization is None else (("authorization", authorization),)
    failure = from_call(await rig.fails(b"wait", metadata=metadata))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
    assert not rig.parrot.waiting.is_set()


@pytest.mark.parametrize("user", ["", "x" * 129])
async def test_a_user_that_cannot_be_one_is_named_by_its_field(rig: Rig, user: str) -> None:
    failure = from_call(await rig.fails(b"a", metadata=(KEY[0], ("i2v-user", user))))
    assert (failure.code, failure.violations[0].field) == (grpc.StatusCode.INVALID_ARGUMENT, "i2v-user")


class Lines(logging.Handler):
    """What JsonLines makes of each record, in the context of the call that wrote it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.JsonLines())
        self.all: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(json.loads(self.format(record)))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    caplog.set_level(logging.INFO)
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler.all
    logging.getLogger().removeHandler(handler)


async def test_the_callers_request_id_comes_back_and_is_in_every_line(rig: Rig, lines: list[dict[str, Any]]) -> None:
    call = rig.channel.unary_unary(rig.method("Say"))(b"log", metadata=(*KEY, ("x-request-id", "r-1")))
    assert await call == b"log"
    assert dict(await call.trailing_metadata())["x-request-id"] == "r-1"
    await rig.metric_becomes(1, "grpc_server_handled_total", "Say")
    said, answered = (next(line for line in lines if line["message"] == text) for text in ("said", "answered"))
    assert said["request_id"] == answered["request_id"] == "r-1"
    assert (said["tenant"], said["user"], said["job_id"]) == ("acme", "ann", "7")
    assert (answered["method"], answered["code"]) == ("/test.Parrot/Say", "OK")
    assert "good-key" not in str(lines)


async def test_a_request_id_is_made_when_none_can_be_used(rig: Rig) -> None:
    call = rig.channel.unary_unary(rig.method("Say"))(b"a", metadata=(*KEY, ("x-request-id", "a b")))
    await call
    assert len(str(dict(await call.trailing_metadata())["x-request-id"])) == 16
    error = await rig.fails(b"invalid", metadata=(*KEY, ("x-request-id", "r-2")))
    assert dict(error.trailing_metadata())["x-request-id"] == "r-2"


async def test_too_little_time_is_refused_before_anything_is_done(start: Start) -> None:
    rig = await start(least_time_s=60)
    failure = from_call(await rig.fails(b"wait"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT")
    assert not rig.parrot.waiting.is_set()
    assert await rig.say(b"a", timeout_s=None) == b"a"


async def test_a_drain_ends_endless_streams_at_once_and_lets_calls_finish(start: Start) -> None:
    rig = await start(endless=[f"/{SERVICE}/Repeat"])
    health = aiter(health_pb2_grpc.HealthStub(rig.channel).Watch(health_pb2.HealthCheckRequest()))
    assert (await anext(health)).status == SERVING
    stream = rig.channel.unary_stream(rig.method("Repeat"))(b"wait", metadata=KEY)
    assert [await stream.read() for _ in range(3)] == [b"wait"] * 3
    await rig.parrot.waiting.wait()
    rig.parrot.waiting.clear()
    running = asyncio.ensure_future(rig.say(b"wait"))
    await rig.parrot.waiting.wait()

    drained = asyncio.create_task(rig.server.drain(grace_s=5))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    failure = from_call(caught.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "GOING_DOWN")
    assert failure.retry_after_s is not None
    assert rig.parrot.closed.is_set()
    assert (await anext(health)).status == NOT_SERVING
    assert not drained.done()
    rig.parrot.released.set()
    assert await running == b"wait"
    await drained
    assert rig.metric("grpc_server_handled_total", "Repeat", grpc_code="Unavailable") == 1


async def test_what_outlasts_the_grace_is_cut_off_with_unavailable(rig: Rig) -> None:
    stream = rig.channel.unary_stream(rig.method("Repeat"))(b"wait", metadata=KEY)
    await rig.parrot.waiting.wait()
    await rig.server.drain(grace_s=0.05)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [each async for each in stream]
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_port_that_is_taken_is_said_plainly() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(CannotListenError, match=f"cannot listen on {address}"):
            await serve(address, [], services=[], registry=CollectorRegistry(), verify=None)


async def test_two_servers_never_share_a_port(rig: Rig) -> None:
    with pytest.raises(CannotListenError):
        await serve(f"127.0.0.1:{rig.server.port}", [], services=[], registry=CollectorRegistry(), verify=None)


async def test_with_tls_a_client_that_trusts_the_authority_can_call(start: Start, tmp_path: Path) -> None:
    openssl = shutil.which("openssl") or pytest.skip("needs a certificate: install the openssl command")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = await asyncio.create_subprocess_exec(
        *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    rig = await start(tls=Tls(cert_file=cert, key_file=key))
    trusting = grpc.ssl_channel_credentials(cert.read_bytes())
    channel: Any = grpc.aio.secure_channel(f"localhost:{rig.server.port}", trusting)
    async with channel:
        assert await channel.unary_unary(rig.method("Say"))(b"a", metadata=KEY, timeout=5) == b"a"


async def test_a_message_beyond_the_limit_is_refused(rig: Rig) -> None:
    assert (await rig.fails(b"x" * (4 * 1024 * 1024 + 1))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_reflection_is_there_when_asked_for(start: Start) -> None:
    rig = await start(reflect=True)
    stub = reflection_pb2_grpc.ServerReflectionStub(rig.channel)
    request: Message = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = await stub.ServerReflectionInfo(iter([request])).read()
    assert SERVICE in [each.name for each in answer.list_services_response.service]


async def test_without_a_check_of_keys_everything_is_open(start: Start) -> None:
    rig = await start(verify=None)
    assert await rig.say(b"a", metadata=()) == b"a"
