"""One client and several servers: how addresses are written, and which of them are called."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Self

import grpc
import pytest
from i2v.v1 import job_pb2, job_pb2_grpc
from prometheus_client import CollectorRegistry

from i2v_client import AsyncClient
from i2v_client.errors import Unreachable
from i2v_client.server_address import CONFIG, SERVICE, addresses, options, target
from services.client import error_messages
from services.client.connection import RETRY_FOR_WITH_SEVERAL_S
from services.rpc.concurrent_call_limits import CallLimits
from services.rpc.server import serve
from tests.support.client_command import Command
from tests.support.scripted_server import KEY, THE_EVENTS, Rig, Script, scripted, serving, verify


@pytest.fixture
async def two() -> AsyncIterator[tuple[Rig, Rig]]:
    async with scripted() as first, scripted() as second:
        yield first, second


def both(two: tuple[Rig, Rig]) -> str:
    return ",".join(rig.address for rig in two)


def asked(rig: Rig) -> int:
    return len(rig.script.asked_for(job_pb2.GetJobRequest))


async def test_calls_are_spread_over_the_servers(two: tuple[Rig, Rig]) -> None:
    async with AsyncClient(both(two), KEY) as client:
        while not all(map(asked, two)):  # the second may be connected a moment later
            await client.get("jobs/7")
        before = [asked(rig) for rig in two]
        for _ in range(10):
            await client.get("jobs/7")
    assert [asked(rig) - was for rig, was in zip(two, before, strict=True)] == [5, 5]


async def test_a_server_that_does_not_serve_is_not_called(two: tuple[Rig, Rig]) -> None:
    first, second = two
    await second.server.set_serving(False)
    async with AsyncClient(both(two), KEY) as client:
        for _ in range(10):
            await client.get("jobs/7")
    assert (asked(first), asked(second)) == (10, 0)


async def test_a_worker_is_not_called_though_it_answers_there(two: tuple[Rig, Rig]) -> None:
    worker = await serve("127.0.0.1:0", [], services=[], registry=CollectorRegistry(), verify=None)
    async with AsyncClient(f"{two[0].address},127.0.0.1:{worker.port}", KEY) as client:
        for _ in range(10):
            await client.get("jobs/7")
    await worker.drain(0)
    assert asked(two[0]) == 10


async def test_a_watch_continues_at_the_other_server(two: tuple[Rig, Rig]) -> None:
    for rig in two:
        rig.script.endless = True
    async with AsyncClient(both(two), KEY) as client:
        events = client.watch("jobs/7")
        seen = [(await anext(events)).sequence for _ in range(4)]
        [left] = [rig for rig in two if rig.script.asked_for(job_pb2.WatchJobRequest)]
        [other] = [rig for rig in two if rig is not left]
        other.script.endless = False
        await left.server.drain(0)
        seen += [event.sequence async for event in events]
    assert seen == [event.sequence for event in THE_EVENTS]


async def test_a_server_that_comes_back_is_called_again(two: tuple[Rig, Rig]) -> None:
    first, second = two
    async with AsyncExitStack() as stack, AsyncClient(both(two), KEY) as client:
        await first.server.drain(0)
        await client.get("jobs/7")
        again = await serving(first.script, first.address)
        stack.push_async_callback(again.drain, 0)
        await second.server.drain(0)
        before = asked(first)
        await client.get("jobs/7")
        assert asked(first) == before + 1


class Line:
    """A connection to a server that can stop passing data, as if the network were cut, and stays open."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.rpartition(":")
        self._alive = True
        self._ends: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for end in self._ends:
            end.close()
        await asyncio.gather(*self._tasks)

    def stop_passing_data(self) -> None:
        self._alive = False

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        self._ends += [writer, far_writer]
        ways = ((reader, far_writer), (far_reader, writer))
        self._tasks += [asyncio.ensure_future(self._carry(*way)) for way in ways]

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self._alive:
                    writer.write(data)
        writer.close()


async def test_a_call_to_a_server_that_hangs_is_answered_by_the_other(two: tuple[Rig, Rig]) -> None:
    first, second = two
    async with (
        Line(first.address) as line,
        AsyncClient(f"{line.address},{second.address}", KEY, retry_for_s=RETRY_FOR_WITH_SEVERAL_S) as client,
    ):
        while not all(map(asked, two)):
            await client.get("jobs/7")
        line.stop_passing_data()
        before = asked(second)
        jobs = await asyncio.gather(*(client.get("jobs/7") for _ in range(4)))
        assert [job.name for job in jobs] == ["jobs/7"] * 4
        assert asked(second) == before + 4


async def test_the_command_takes_several_servers(two: tuple[Rig, Rig], tmp_path: Path) -> None:
    await two[0].server.drain(0)
    ended = await Command(both(two), tmp_path)("job", "7")
    assert ended.code == 0, ended.err


async def test_more_clients_than_health_watches_do_not_disconnect_each_other() -> None:
    script, registry = Script(), CollectorRegistry()
    server = await serve(
        "127.0.0.1:0",
        [lambda server: job_pb2_grpc.add_JobServiceServicer_to_server(script, server)],
        services=[SERVICE],
        registry=registry,
        verify=verify,
        limits=CallLimits(open_calls=2),
    )
    alone = (("grpc.service_config", CONFIG), ("grpc.use_local_subchannel_pool", 1))  # as if each were a process
    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.drain, 0)
        where = f"ipv4:127.0.0.1:{server.port}"
        channels = [await stack.enter_async_context(grpc.aio.insecure_channel(where, alone)) for _ in range(6)]
        get = [job_pb2_grpc.JobServiceStub(channel).GetJob for channel in channels]
        for _ in range(20):
            request = job_pb2.GetJobRequest(name="jobs/7")
            await asyncio.gather(*(call(request, metadata=(("authorization", f"Bearer {KEY}"),)) for call in get))
        labels = {"grpc_type": "server_stream", "grpc_service": "grpc.health.v1.Health", "grpc_method": "Watch"}
        assert registry.get_sample_value("grpc_server_started_total", labels) == 6


async def test_servers_that_do_not_serve_are_reported(two: tuple[Rig, Rig]) -> None:
    for rig in two:
        await rig.server.set_serving(False)
    async with AsyncClient(both(two), KEY, retry_for_s=0.5) as client:
        with pytest.raises(Unreachable) as caught:
            await client.get("jobs/7")
    assert "it reports that it does not serve now." in error_messages.lines(caught.value, "far:1")[0]


async def test_unknown_host_names_are_unreachable() -> None:
    with pytest.raises(Unreachable):
        async with AsyncClient("a.invalid:1,b.invalid:1", KEY):
            pass


@pytest.mark.parametrize(
    ("written", "dialled"),
    [
        ("127.0.0.1:5", "127.0.0.1:5"),
        ("i2v.example:443", "i2v.example:443"),
        ("[::1]:5", "[::1]:5"),
        (" 127.0.0.1:5 , 127.0.0.2:6 ", "ipv4:127.0.0.1:5,127.0.0.2:6"),
        ("localhost:5,127.0.0.1:6", "ipv4:127.0.0.1:5,127.0.0.1:6"),
        ("[::1]:5,[::1]:6", "ipv6:[::1]:5,[::1]:6"),
        ("a.invalid:5,127.0.0.1:6", "ipv4:127.0.0.1:6"),
        ("dns:///i2v.example:443", "dns:///i2v.example:443"),
        ("ipv4:127.0.0.1:5,127.0.0.1:6", "ipv4:127.0.0.1:5,127.0.0.1:6"),
        ("unix:var/i2v.sock", "unix:var/i2v.sock"),
    ],
)
def test_an_address_is_used_as_it_is_written(written: str, dialled: str) -> None:
    assert target(addresses(written)) == dialled


@pytest.mark.parametrize("written", ["", "a", "a:b", ":1", "a:0", "a:65536", "http://a:1", "a:1,", "a:1 b:2", "::1:5"])
def test_an_invalid_address_is_refused_with_the_format(written: str) -> None:
    with pytest.raises(ValueError, match=re.escape("host:port")):
        AsyncClient(written, KEY)


def test_addresses_of_two_kinds_cannot_be_mixed() -> None:
    with pytest.raises(ValueError, match="IPv4"):
        target(addresses("127.0.0.1:5,[::1]:6"))


def test_one_number_needs_no_balancing_and_a_name_does() -> None:
    assert options(["127.0.0.1:5"], tls=True) == options(["[::1]:5"], tls=False) == ()
    assert SERVICE in dict(options(["i2v.example:443"], tls=False))["grpc.service_config"]
    assert dict(options(["a:1", "b:1"], tls=True))["grpc.ssl_target_name_override"] == "a"
