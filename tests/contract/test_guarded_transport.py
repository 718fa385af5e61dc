"""Where the guarded transport connects to, over real sockets and TLS: to the address that was checked, and no other.

Addresses of this machine stand for the internet's here: they count as public, and no others do.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.outbound import destinations
from services.outbound.destinations import Destinations, GuardedTransport, NotAllowed, is_public_address
from tools.made_certificates import a_certificate

NAME, OTHER = "api.example", "other.example"
FIRST, SECOND, THIRD, FOURTH = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"
PRIVATE = "10.0.0.1"


@dataclass
class Vendor:
    """What its servers have seen."""

    port: int = 0
    names: list[str | None] = field(default_factory=list)
    """That TLS was asked for."""
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    """By the address that each came to."""


@dataclass
class Names:
    """What the resolver answers, one look-up after the other; the last one stays."""

    answers: list[list[str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found, real = Names(), socket.getaddrinfo

    def resolve(host: str, port: int, *args: Any, **options: Any) -> Any:
        if not host.endswith(".example"):
            return real(host, port, *args, **options)
        found.asked.append(host)
        addresses = found.answers.pop(0) if len(found.answers) > 1 else found.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (each, port)) for each in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return found


def allowing(*names: str) -> Destinations:
    """A list of names, for which addresses of this machine are public."""
    return Destinations(names, is_public=lambda text: text.startswith("127.0.0.") or is_public_address(text))


Serve = Callable[..., Any]


@pytest.fixture
async def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Answers at addresses of this machine, with a certificate for NAME that clients trust."""
    cert, key = a_certificate(tmp_path, NAME)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))

    @asynccontextmanager
    async def serving(*addresses: str) -> AsyncIterator[Vendor]:
        vendor, context = Vendor(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        context.sni_callback = lambda _, name, __: vendor.names.append(name)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            vendor.requests.append((writer.get_extra_info("sockname")[0], head + await reader.readexactly(length)))
            writer.write(b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            writer.close()

        async with AsyncExitStack() as stack:
            for address in addresses:
                server = await asyncio.start_server(answer, address, vendor.port, ssl=context)
                vendor.port = server.sockets[0].getsockname()[1]
                await stack.enter_async_context(server)
            yield vendor

    return serving


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = GuardedTransport(allowing(NAME, OTHER), httpx.Limits())
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=10) as made:
        yield made


async def test_a_request_goes_to_the_address_that_was_checked_under_its_name(
    names: Names, serve: Serve, client: httpx.AsyncClient
) -> None:
    """Another look-up would lead into our own network by now."""
    names.answers = [[FIRST], [SECOND], [PRIVATE]]
    async with serve(FIRST, SECOND) as vendor:
        for _ in range(2):
            assert (await client.get(f"https://{NAME}:{vendor.port}/x")).status_code == 200
    assert names.asked == [NAME]
    assert [address for address, _ in vendor.requests] == [FIRST, FIRST]
    assert vendor.names == [NAME, NAME]
    assert f"host: {NAME}:{vendor.port}".encode() in vendor.requests[0][1].lower()


@pytest.mark.parametrize("addresses", [[PRIVATE], [FIRST, PRIVATE], [PRIVATE, FIRST], ["::1"], ["fec0::1"], []])
async def test_a_listed_name_that_leads_to_a_private_address_is_not_connected_to(
    names: Names, serve: Serve, client: httpx.AsyncClient, addresses: list[str]
) -> None:
    names.answers = [addresses]
    async with serve(FIRST) as vendor:
        with pytest.raises(NotAllowed):
            await client.get(f"https://{NAME}:{vendor.port}/x")
    assert (vendor.names, vendor.requests) == ([], [])


async def test_a_name_is_checked_again_when_it_is_looked_up_again(names: Names, serve: Serve) -> None:
    names.answers = [[FIRST], [PRIVATE]]
    transport = GuardedTransport(allowing(NAME), httpx.Limits(), remembered_s=0.0)
    async with serve(FIRST) as vendor, httpx.AsyncClient(transport=transport, trust_env=False, timeout=10) as client:
        await client.get(f"https://{NAME}:{vendor.port}/x")
        with pytest.raises(NotAllowed):
            await client.get(f"https://{NAME}:{vendor.port}/x")
    assert len(vendor.requests) == 1


async def test_an_unlisted_name_is_not_looked_up(names: Names, client: httpx.AsyncClient) -> None:
    for url in ("https://evil.example/x", f"http://{NAME}/x", f"https://{NAME}.evil.example/x"):
        with pytest.raises(NotAllowed):
            await client.get(url)
    assert names.asked == []


@pytest.mark.parametrize("serving", [SECOND, THIRD])
async def test_if_one_address_does_not_answer_another_gets_the_whole_request_once(
    names: Names, serve: Serve, client: httpx.AsyncClient, serving: str
) -> None:
    names.answers = [[FIRST, SECOND, THIRD, FOURTH]]

    async def body() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"and two"

    async with serve(serving) as vendor:
        headers = {"content-length": "11"}
        answer = await client.post(f"https://{NAME}:{vendor.port}/x", content=body(), headers=headers)
    assert answer.status_code == 200
    assert [(address, request.partition(b"\r\n\r\n")[2]) for address, request in vendor.requests] == [
        (serving, b"one and two")
    ]


@pytest.mark.parametrize("addresses", [[FIRST], [FIRST, SECOND], [FIRST, SECOND, THIRD, FOURTH]])
async def test_if_none_of_the_first_three_addresses_answers_nothing_is_sent(
    names: Names, serve: Serve, client: httpx.AsyncClient, addresses: list[str]
) -> None:
    names.answers = [addresses]
    async with serve(FOURTH) as vendor:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"https://{NAME}:{vendor.port}/x")
    assert vendor.requests == []


async def test_a_certificate_for_another_name_is_refused(names: Names, serve: Serve, client: httpx.AsyncClient) -> None:
    names.answers = [[FIRST]]
    async with serve(FIRST) as vendor:
        assert (await client.get(f"https://{NAME}:{vendor.port}/x")).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await client.get(f"https://{OTHER}:{vendor.port}/x")
    assert vendor.names == [NAME, OTHER]
    assert len(vendor.requests) == 1


async def test_three_thousand_names_leave_few_pools_and_what_is_under_way_goes_on(names: Names, serve: Serve) -> None:
    """A vendor may name a host of its own for each video."""
    names.answers = [[FIRST]]
    transport = GuardedTransport(allowing("*.example"), httpx.Limits())
    async with serve(FIRST) as vendor, httpx.AsyncClient(transport=transport, trust_env=False, timeout=10) as client:
        under_way = await client.send(client.build_request("GET", f"https://{NAME}:{vendor.port}/"), stream=True)
        for number in range(3000):
            with pytest.raises(httpx.ConnectError):  # no process listens on that port
                await client.get(f"https://host-{number}.example:1/")
        assert transport.pools <= destinations.HOSTS + 1
        assert await under_way.aread() == b""
        await under_way.aclose()


async def test_pools_that_are_closed_at_the_same_time_fail_no_request() -> None:
    hosts = [f"127.0.1.{number}" for number in range(1, destinations.HOSTS + 20)]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "0.0.0.0")
    port = server.sockets[0].getsockname()[1]
    transport = GuardedTransport(Destinations(hosts), httpx.Limits())
    async with server, httpx.AsyncClient(transport=transport, trust_env=False, timeout=30) as client:
        urls = [f"http://{host}:{port}/" for host in hosts]
        under_way = [await client.send(client.build_request("GET", url), stream=True) for url in urls]
        for answered in under_way:
            await answered.aread()  # all of them are idle now, and too many
        answers = await asyncio.gather(*(client.get(url) for url in urls), return_exceptions=True)
        assert [each for each in answers if isinstance(each, BaseException)] == []
        await client.get(urls[0])
        assert transport.pools <= destinations.HOSTS + 1


async def test_no_cookie_is_kept(names: Names, serve: Serve) -> None:
    names.answers = [[FIRST]]
    transport = GuardedTransport(allowing(NAME), httpx.Limits())
    async with serve(FIRST) as vendor, destinations.guarded_client(transport) as client:
        for _ in range(2):
            assert (await client.get(f"https://{NAME}:{vendor.port}/")).headers["set-cookie"]
        assert not any(b"cookie" in head.lower() for _, head in vendor.requests)
