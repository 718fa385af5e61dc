"""The pure parts of a provider: bodies, hostile answers, the breaker, and how a vendor's text is shown."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.outbound.destinations import Destinations
from services.providers import task_failures
from services.providers.answer_json import parsed, plain
from services.providers.byte_chunks import chunk_bytes, joined_chunks
from services.providers.circuit_breaker import CircuitBreaker
from services.providers.metrics import VendorMeter, VendorMetrics
from services.providers.request_body import Inline, data_uri, file_body, json_body
from services.providers.stream_heartbeat import Heartbeat, with_heartbeats
from services.providers.task import Input
from services.providers.task_polling import PollSchedule, _regular_pause_s, pause_after_s
from services.providers.task_wakeups import TaskWakeups
from services.providers.vendor import Failed, promises, quoted
from services.providers.vendor_client import RequestTimeouts, VendorClient, dig
from services.providers.vendors.wavespeed_answers import time_of


def an_input(folder: Path, size: int) -> tuple[Input, bytes]:
    data = bytes(index % 251 for index in range(size))
    (folder / "input").write_bytes(data)
    return Input("image/png", size, folder / "input"), data


@pytest.mark.parametrize("size", [0, 1, 2, 3, 3 * 65536 - 1, 3 * 65536, 3 * 65536 + 1, 500_000])
async def test_a_json_body_is_unchanged_and_has_its_stated_length(tmp_path: Path, size: int) -> None:
    given, data = an_input(tmp_path, size)
    body = json_body({"image": data_uri(given), "prompt": 'é "quoted"\n', "raw": Inline(given), "seed": 7})
    text = b"".join([piece async for piece in body.pieces()])
    encoded = base64.b64encode(data).decode()
    assert len(text) == body.length
    assert json.loads(text) == {
        "image": f"data:image/png;base64,{encoded}",
        "prompt": 'é "quoted"\n',
        "raw": encoded,
        "seed": 7,
    }


async def test_a_form_has_its_stated_length(tmp_path: Path) -> None:
    given, data = an_input(tmp_path, 1000)
    body = file_body(given, "input.png")
    text = b"".join([piece async for piece in body.pieces()])
    assert len(text) == body.length
    assert data in text
    assert body.content_type.partition("boundary=")[2].encode() in text


async def test_an_empty_object_is_an_object() -> None:
    assert b"".join([piece async for piece in json_body({}).pieces()]) == b"{}"


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"1" * 5000])
def test_invalid_and_too_large_json_is_nothing(text: bytes) -> None:
    assert parsed(text) is None


def test_a_value_is_read_only_with_the_right_path_and_type() -> None:
    data = {"a": [{"b": "c"}], "n": 1, "t": True, "f": 1.5}
    assert dig(data, "a", 0, "b", kind=str) == "c"
    assert dig(data, "a", 1, "b", kind=str) is None
    assert dig(data, "a", "b", kind=str) is None
    assert dig(data, "n", kind=int) == 1
    assert dig(data, "t", kind=int) is None
    assert dig(data, "t", kind=bool) is True
    assert dig(data, "n", kind=str) is None
    assert dig(None, "a", kind=str) is None
    assert dig([1], 0, kind=int) == 1


def test_a_vendors_text_is_shown_without_secrets_and_addresses() -> None:
    assert quoted("see https://x.example/a?key=1 now") == "see … now"
    assert quoted("task 3f8a46aff2e24c24b69ca151ddbaacb1 broke") == "task … broke"
    assert quoted("mail me@x.example") == "mail …"
    assert quoted("the image is smaller than 300 pixels") == "the image is smaller than 300 pixels"
    assert "\n" not in quoted("a\nb\0c")
    assert len(quoted("word " * 100)) <= 200
    assert quoted({"not": "text"}) == quoted(None) == ""


def test_promised_values_are_limited_in_number_and_length() -> None:
    assert promises({"duration": 5.0, "size": "1280x720", "nested": {"a": 1}, "none": None}) == {
        "duration": "5.0",
        "size": "1280x720",
    }
    assert len(promises({str(number): 1 for number in range(100)})) == 32
    assert len(promises({"long": "é" * 1000})["long"].encode()) <= 256
    assert promises({"k" * 257: 1}) == {}
    assert promises({"a\0b": "x\0y", "file": "https://cdn.example/a.mp4?Signature=s"}) == {"a…b": "x…y", "file": "…"}


@pytest.mark.parametrize("hidden", [rb"\u0077s_key_1", rb"ws\u005fkey\u005f1", b"ws_key_1"])
def test_escapes_hide_no_key(hidden: bytes) -> None:
    text = plain(b'{"error":"the key ' + hidden + rb' is \"bad\""}')
    assert b"ws_key_1" in text
    assert parsed(text) == {"error": 'the key ws_key_1 is "bad"'}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-32"])
def test_another_encoding_hides_no_key(encoding: str) -> None:
    text = '{"error":"the key ws_key_1"}'.encode(encoding)
    assert parsed(text) is parsed(plain(text)) is None


def test_half_a_character_in_raw_bytes_is_replaced_without_effect_on_the_rest() -> None:
    half = b"\xed\xa0\x80"
    for text in (b'{"id":"a","m":"%s"}' % half, b'{"id":"a","m":"\\n%s"}' % half, b'\xef\xbb\xbf{"id":"a","m":"b"}'):
        value = parsed(plain(text))
        assert dig(value, "id", kind=str) == "a"
        assert (dig(value, "m", kind=str) or "").encode()
    assert str(parsed(b'"\xed\xa0\x80"')).encode()


def test_half_a_character_becomes_a_question_mark() -> None:
    assert parsed(plain(rb'{"\ud800":"\udfff x \ud83d\ude00"}')) == {"?": "? x \U0001f600"}
    assert plain(rb"\[" * 100_000) == plain(b"[" * 100_000 + b"\\") == b""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-05-19T06:09:15.948268264Z", datetime(2025, 5, 19, 6, 9, 15, 948268, UTC)),
        ("2025-05-19T06:09:15", datetime(2025, 5, 19, 6, 9, 15, tzinfo=UTC)),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-12:00", None),
        (None, None),
    ],
)
def test_a_vendors_time_is_read_as_far_as_it_can_be(text: str | None, expected: datetime | None) -> None:
    assert time_of(text) == expected


@pytest.mark.parametrize(
    ("ref", "good"),
    [
        ("247ae6a651", True),
        ("a-b_c.d", True),
        ("", False),
        ("../x", False),
        (".x", False),
        ("a/b", False),
        ("a\n", False),
    ],
)
def test_an_id_becomes_part_of_a_url_only_if_it_can(ref: str, good: bool) -> None:
    assert (task_failures.accepted(ref) == ref) is good


def test_a_missing_task_counts_as_gone_only_after_several_polls_and_some_time() -> None:
    now = [0.0]
    missing = task_failures.Missing(lambda: now[0])
    for _ in range(2):
        found = [missing.unseen("a") for _ in range(task_failures.MISSING_LOOKS + 10)]
        assert not any(isinstance(each, Failed) for each in found)
        now[0] += task_failures.MISSING_S
        gone = missing.unseen("a")
        assert isinstance(gone, Failed) and gone.resumable
    found = [missing.unseen("a")]
    now[0] += task_failures.MISSING_S
    found += [missing.unseen("a") for _ in range(task_failures.MISSING_LOOKS)]
    assert [isinstance(each, Failed) for each in found] == [False] * task_failures.MISSING_LOOKS + [True]
    missing.unseen("a")
    missing.seen("a")
    now[0] += task_failures.MISSING_S
    assert not isinstance(missing.unseen("a"), Failed)


def test_of_many_missing_tasks_the_oldest_are_dropped() -> None:
    now = [0.0]
    missing = task_failures.Missing(lambda: now[0], most_tasks=2)
    for ref in "abc":
        for _ in range(task_failures.MISSING_LOOKS):
            missing.unseen(ref)
    now[0] += task_failures.MISSING_S
    assert [isinstance(missing.unseen(ref), Failed) for ref in "cba"] == [True, True, False]


def test_the_breaker_opens_after_consecutive_failures_and_lets_one_call_through_later() -> None:
    now = [0.0]
    meter = VendorMeter(VendorMetrics(CollectorRegistry()), "test")
    breaker = CircuitBreaker(lambda: now[0], meter, failures=3, rest_s=30)
    for _ in range(2):
        breaker.failed()
    breaker.succeeded()
    for _ in range(2):
        breaker.failed()
    assert repr(breaker) == "<CircuitBreaker closed, 2 failures in a row>"
    assert breaker.admit() == 0
    breaker.failed()
    assert repr(breaker) == "<CircuitBreaker open, 3 failures in a row>"
    assert breaker.admit() == 30
    now[0] = 30.0
    assert breaker.admit() == 0
    assert breaker.admit() == 30
    breaker.failed()
    now[0] = 59.0
    assert breaker.admit() == 1
    breaker.succeeded()
    assert breaker.admit() == 0


async def test_an_idle_stream_sends_heartbeats_and_closes_its_source() -> None:
    go, closed = asyncio.Event(), asyncio.Event()

    async def items() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await go.wait()
            yield 2
            await asyncio.Event().wait()
        finally:
            closed.set()

    stream = with_heartbeats(items(), 0.01)
    assert await anext(stream) == 1
    assert isinstance(await anext(stream), Heartbeat)
    go.set()
    seen = [await anext(stream)]
    while isinstance(seen[-1], Heartbeat):
        seen.append(await anext(stream))
    assert seen[-1] == 2
    await stream.aclose()
    assert closed.is_set()


async def test_news_wakes_every_watcher_of_its_task_and_no_other() -> None:
    wakeups = TaskWakeups()
    with wakeups.waiting("a") as first, wakeups.waiting("a") as second, wakeups.waiting("b") as other:
        assert wakeups.wake("a")
        assert first.is_set() and second.is_set() and not other.is_set()
    assert not wakeups.wake("a")


def test_a_task_is_polled_less_often_with_age_and_after_failed_polls() -> None:
    schedule = PollSchedule(look_every_s=2, look_seldom_s=10, longest_pause_s=30)
    assert [_regular_pause_s(schedule, age_s) for age_s in (0, 40, 100, 200, 10_000)] == [2, 2, 5, 10, 10]
    assert _regular_pause_s(PollSchedule(look_every_s=60, look_seldom_s=10), 10_000) == 60
    assert [pause_after_s(schedule, failures, None) for failures in (1, 2, 3, 4, 5, 1000)] == [2, 4, 8, 16, 30, 30]
    assert [pause_after_s(schedule, 1, asked_s) for asked_s in (0, 7, 100_000)] == [2, 7, 300]


async def test_a_video_is_sent_in_pieces_that_fit_into_a_message() -> None:
    async def reads() -> AsyncGenerator[bytes, None]:
        for _ in range(64):
            yield bytes(65_536)

    sizes = [len(piece) async for piece in joined_chunks(reads(), lambda: chunk_bytes(1))]
    assert sum(sizes) == 64 * 65_536
    assert all(900_000 < size <= 1 << 20 for size in sizes[:-1])


@pytest.mark.parametrize(
    ("downloads", "least", "most"), [(1, 896, 896), (73, 700, 896), (1000, 64, 66), (9999, 64, 64)]
)
def test_the_memory_of_downloads_does_not_grow_with_their_size(downloads: int, least: int, most: int) -> None:
    assert least <= chunk_bytes(downloads) / 1024 <= most


async def test_polls_that_wait_for_each_other_do_not_fail() -> None:
    """The last ones wait for longer than an answer may take."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            if await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(0.25)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    vendor_client = VendorClient(
        f"http://{address}",
        "Bearer",
        lambda: "some-key",
        destinations=Destinations([address]),
        timeouts=RequestTimeouts(look_s=1.0),
        meter=VendorMeter(VendorMetrics(CollectorRegistry()), "test"),
        clock=lambda: 0.0,
        at_a_time=2,
    )
    async with server, vendor_client:
        answers = await asyncio.gather(*(vendor_client.ask("GET", "/x", kind="look", template="/x") for _ in range(12)))
    assert [each.status for each in answers] == [200] * 12
