"""A service of plain bytes that does what its requests say, on a real server and a free port."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from services.errors import InvalidInput, NotFound, Unauthenticated, Violation
from services.rpc import logs
from services.rpc.auth import Credential, principal
from services.rpc.server import RpcServer, serve

SERVICE = "test.Parrot"
KEY = (("authorization", "Bearer good-key"), ("i2v-user", "ann"))

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass
class ScriptedRpcService:
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

    async def parse(self, request: bytes, context: Context) -> bytes:
        return request

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

    async def echo(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for each in requests:
            yield each

    def register(self, server: grpc.aio.Server) -> None:
        handlers: dict[str, Any] = {
            "Say": grpc.unary_unary_rpc_method_handler(self.say),
            "Count": grpc.stream_unary_rpc_method_handler(self.count),
            "Parse": grpc.unary_unary_rpc_method_handler(self.parse, request_deserializer=parsed),
            "ParseAll": grpc.stream_unary_rpc_method_handler(self.count, request_deserializer=parsed),
            "Repeat": grpc.unary_stream_rpc_method_handler(self.repeat),
            "Echo": grpc.stream_stream_rpc_method_handler(self.echo),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


def parsed(data: bytes) -> bytes:
    """Parses a message, as protobuf would."""
    if data == b"nonsense":
        raise ValueError("this is no message")
    return data


TENANTS = {"good-key": "acme", "story-key": "story"}


async def verify(token: str) -> Credential:
    if token not in TENANTS:
        raise Unauthenticated("This key is not known.", reason="API_KEY_UNKNOWN")
    return Credential(TENANTS[token])


@dataclass
class Rig:
    parrot: ScriptedRpcService
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
        """One sample of a method, whatever its type; 0 if there is none."""
        return self.count(name, grpc_method=method, **more)

    def count(self, name: str, **labels: str) -> float:
        """The sum of all samples with these labels; 0 if there is none."""
        samples = [each for family in self.registry.collect() for each in family.samples if each.name == name]
        return sum(each.value for each in samples if labels.items() <= each.labels.items())

    async def metric_becomes(self, value: float, name: str, method: str, **more: str) -> None:
        """The client has its answer a moment before the server has counted it."""
        async with asyncio.timeout(60):
            while self.metric(name, method, **more) != value:  # noqa: ASYNC110  Prometheus sends no event.
                await asyncio.sleep(0.001)


Start = Callable[..., Awaitable[Rig]]


@asynccontextmanager
async def starting() -> AsyncIterator[Start]:
    """Yields what starts a server, with options as a test likes; stops all of them afterwards."""
    async with AsyncExitStack() as stack:

        async def starts(**options: Any) -> Rig:
            parrot, registry = ScriptedRpcService(), CollectorRegistry()
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
