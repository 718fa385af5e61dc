"""What one request to a receiver of webhooks may do, over real sockets and TLS, with receivers of every bad kind.

Addresses of this machine stand for the internet's here: `127.0.0.2` counts as public, and no other does.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.ports.webhook_receiver import Answer
from services.orchestrator.webhook_receivers import HttpReceivers
from services.outbound.public_destinations import PublicDestinations
from services.reasons import DeliveryReason
from tests.support.webhook_receivers import NAME, Receiver, receiving
from tools.made_certificates import a_certificate

PUBLIC, PRIVATE = "127.0.0.2", "127.0.0.1"
HEADERS = {"content-type": "application/json", "webhook-id": "evt_1"}
BODY = '{"type": "job.succeeded"}'


class Names:
    """A resolver: what it answers, one look-up after the other; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def receivers(names: Names | None = None, *private: str, timeout_s: float = 30.0) -> HttpReceivers:
    resolve = (names or Names([PUBLIC])).resolve
    allowed = PublicDestinations(private, is_public=lambda address: address == PUBLIC, resolve=resolve)
    return HttpReceivers(allowed, SystemClock(), timeout_s=timeout_s)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A certificate for NAME that clients trust."""
    pair = a_certificate(tmp_path, NAME)
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
    return pair


@pytest.fixture
async def receiver(certificate: tuple[Path, Path]) -> AsyncIterator[Receiver]:
    async with receiving(Receiver(), certificate, PUBLIC) as running:
        yield running


async def post(to: HttpReceivers, url: str) -> Answer:
    try:
        return await to.post(url, HEADERS, BODY)
    finally:
        await to.close()


async def test_a_webhook_comes_as_it_was_given_over_one_kept_connection(receiver: Receiver) -> None:
    to = receivers()
    for _ in range(3):
        assert await to.post(f"https://{NAME}:{receiver.port}/in?a=b", HEADERS, BODY) == Answer(204)
    await to.close()
    assert [each.body for each in receiver.got] == [BODY] * 3
    assert receiver.connections == 1
    got = receiver.got[0].headers
    assert (got["webhook-id"], got["host"], got["accept-encoding"]) == ("evt_1", f"{NAME}:{receiver.port}", "identity")
    assert {"cookie", "authorization"}.isdisjoint(got)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:{port}/",
        "https://127.1:{port}/",
        "https://2130706433:{port}/",
        "https://0x7f.0.0.1:{port}/",
        "https://[::1]:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://localhost:{port}/",
        "http://hooks.example:{port}/",
        "http://127.0.0.2:{port}/",
        "https://user:pass@hooks.example:{port}/",
        "ftp://hooks.example/",
        "https:///nothing",
    ],
)
async def test_nothing_is_sent_to_a_private_address_or_without_tls(receiver: Receiver, url: str) -> None:
    answer = await post(receivers(Names([PRIVATE])), url.format(port=receiver.port))
    assert answer == Answer(None, DeliveryReason.RECEIVER_FORBIDDEN)
    assert receiver.connections == 0


async def test_a_name_that_moves_to_a_private_address_is_not_followed(certificate: tuple[Path, Path]) -> None:
    """DNS rebinding: the address that was checked is the one that is connected to."""
    names = Names([PUBLIC], [PRIVATE])
    async with (
        receiving(Receiver(), certificate, PUBLIC) as public,
        receiving(Receiver(), certificate, PRIVATE, public.port) as private,
    ):
        to = receivers(names)
        assert (await to.post(f"https://{NAME}:{public.port}/", HEADERS, BODY)).status == 204
        assert names.asked == [NAME]
        answer = await post(receivers(names), f"https://{NAME}:{public.port}/")
        await to.close()
    assert answer.failure == DeliveryReason.RECEIVER_FORBIDDEN
    assert private.connections == 0


async def test_one_private_address_among_public_ones_is_too_many(receiver: Receiver) -> None:
    answer = await post(receivers(Names([PUBLIC, "10.0.0.1"])), f"https://{NAME}:{receiver.port}/")
    assert answer.failure == DeliveryReason.RECEIVER_FORBIDDEN
    assert receiver.connections == 0


async def test_a_host_that_operators_list_may_be_private_and_plain() -> None:
    async with receiving(Receiver()) as receiver:
        answer = await post(receivers(None, "127.0.0.1"), f"http://127.0.0.1:{receiver.port}/")
    assert answer == Answer(204)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "fe80::1", "::ffff:127.0.0.1"])
async def test_a_listed_name_never_leads_to_this_machine_or_a_clouds_metadata(address: str) -> None:
    async with receiving(Receiver()) as receiver:
        url = f"https://hooks.corp.example:{receiver.port}/"
        answer = await post(receivers(Names([address]), "hooks.corp.example"), url)
    assert answer.failure == DeliveryReason.RECEIVER_FORBIDDEN
    assert receiver.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.status, receiver.headers = status, f"location: https://{NAME}:{receiver.port}/other\r\n"
    assert (await post(receivers(), f"https://{NAME}:{receiver.port}/")).status == status
    assert len(receiver.got) == 1


async def test_an_endless_body_is_not_read_to_an_end(receiver: Receiver) -> None:
    sent = 0

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            sent += 65536
            await writer.drain()

    receiver.behave = endless
    assert await post(receivers(), f"https://{NAME}:{receiver.port}/") == Answer(200)
    assert sent < 64 << 20


async def test_a_body_that_trickles_does_not_hold_up_a_delivered_webhook(receiver: Receiver) -> None:
    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.2)

    receiver.behave = slow
    assert await post(receivers(), f"https://{NAME}:{receiver.port}/") == Answer(202)


async def test_a_compressed_body_is_not_unpacked(receiver: Receiver) -> None:
    receiver.headers = "content-encoding: gzip\r\n"
    assert await post(receivers(), f"https://{NAME}:{receiver.port}/") == Answer(204)


async def test_endless_headers_and_answers_that_are_no_http_end(receiver: Receiver) -> None:
    async def headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x-filler: " + b"y" * 1000 + b"\r\n")
            await writer.drain()

    async def noise(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")

    async def nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Closes the connection without an answer."""

    for behave in (headers, noise, nothing):
        receiver.behave = behave
        answer = await post(receivers(), f"https://{NAME}:{receiver.port}/")
        assert answer == Answer(None, DeliveryReason.RECEIVER_BROKEN), behave


async def test_a_receiver_has_a_time_for_tls_and_for_its_status(receiver: Receiver) -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        for letter in b"HTTP/1.1 200 OK" * 1000:
            writer.write(bytes([letter]))
            await writer.drain()
            await asyncio.sleep(0.05)

    receiver.behave = trickle
    began = time.monotonic()
    answer = await post(receivers(timeout_s=0.5), f"https://{NAME}:{receiver.port}/")
    assert answer == Answer(None, DeliveryReason.RECEIVER_SLOW)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    deaf = await asyncio.start_server(silent, PUBLIC)  # accepts, and never says a word of TLS
    async with deaf:
        port = deaf.sockets[0].getsockname()[1]
        answer = await post(receivers(timeout_s=0.5), f"https://{NAME}:{port}/")
    assert answer == Answer(None, DeliveryReason.RECEIVER_SLOW)
    assert time.monotonic() - began < 30


async def test_a_name_server_that_does_not_answer_costs_the_time_limit_at_most() -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    to = HttpReceivers(PublicDestinations(resolve=never), SystemClock(), timeout_s=0.1)
    assert await post(to, f"https://{NAME}/") == Answer(None, DeliveryReason.RECEIVER_SLOW)


async def test_a_wrong_certificate_gets_nothing(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    other = a_certificate(tmp_path / "other", "other.example")
    for pair in (other, a_certificate(tmp_path / "unknown", NAME)):
        async with receiving(Receiver(), pair, PUBLIC) as receiver:
            answer = await post(receivers(), f"https://{NAME}:{receiver.port}/")
        assert answer == Answer(None, DeliveryReason.RECEIVER_TLS_FAILED)
        assert receiver.got == []


async def test_a_refused_connection_and_an_unknown_name_say_so() -> None:
    async with receiving(Receiver(), None, PUBLIC) as receiver:
        port = receiver.port
    assert await post(receivers(), f"https://{NAME}:{port}/") == Answer(None, DeliveryReason.RECEIVER_UNREACHABLE)
    to = HttpReceivers(PublicDestinations(), SystemClock(), timeout_s=30)
    answer = await post(to, "https://no-such-host.invalid/")
    assert answer == Answer(None, DeliveryReason.RECEIVER_UNRESOLVED)


@pytest.mark.parametrize(
    ("header", "expected"),
    [("120", 120.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), ("-5", None), ("9" * 40, None)],
)
async def test_both_forms_of_retry_after_are_understood(
    receiver: Receiver, header: str, expected: float | None
) -> None:
    receiver.status, receiver.headers = 429, f"retry-after: {header}\r\n"
    assert await post(receivers(), f"https://{NAME}:{receiver.port}/") == Answer(429, retry_after_s=expected)
