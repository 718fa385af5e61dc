"""Socket.IO with clients that mean harm: floods, lies, and packets that are none."""

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
import pytest

from tests.support.raw_socket import PATH, RawSocket, raw_socket
from tests.support.socket_page import START, page, refused
from tests.support.studio_rig import PICTURE, Rig, before_an_api

FEW = {"SOCKETS": "12", "CALLER_SOCKETS": "4", "CORS_ORIGINS": "https://page.example"}
DEEP = "[" * 30_000


@pytest.fixture(scope="module")
async def hostile_rig(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with before_an_api(shared_database, tmp_path_factory.mktemp("studio"), studio=FEW) as made:
        yield made
    assert [line for line in made.log.read_text().splitlines() if "Traceback" in line or '"ERROR"' in line] == []


@pytest.fixture
def rig(hostile_rig: Rig) -> Rig:
    return hostile_rig.of(f"user-{uuid.uuid4().hex}")


async def test_ten_thousand_events_end_the_connection_and_no_other(rig: Rig) -> None:
    async with page(rig.of(f"{rig.user}-calm")) as calm, raw_socket(rig) as flood:
        sending = asyncio.create_task(flood.pour(['42["set_mode",{"mode":"i2v"}]'] * 10_000))
        assert await flood.error() == "EVENTS_TOO_FAST"
        assert await flood.closed()
        await asyncio.wait({sending})
        assert await calm.client.call("set_mode", {"mode": "t2v"}) == {"mode": "t2v"}


async def test_a_hundred_megabytes_end_the_connection(rig: Rig) -> None:
    async with raw_socket(rig) as flood:
        await flood.pour(["42" + json.dumps(["upload_image", {"image_data": "A" * 100_000_000}])])
        assert await flood.closed()
    async with raw_socket(rig) as flood:
        some = "42" + json.dumps(["upload_image", {"image_data": "!" * 12_000_000}])
        await flood.pour([some] * 9)
        assert await flood.closed()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("data:image/png;base64," + base64.b64encode(b"<svg onload=alert(1)>").decode(), "FIELD_MALFORMED"),
        ("data:text/html;base64," + base64.b64encode(PICTURE).decode(), "FIELD_MALFORMED"),
        (base64.b64encode(b"MZ" + bytes(5000)).decode(), "PICTURE_FORMAT"),
        (base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode(), "PICTURE_FORMAT"),
        ("data:image/gif;base64," + base64.b64encode(b"<html></html>").decode(), "PICTURE_FORMAT"),
        ("https://example.com/cat.png", "URL_UNSUPPORTED"),
        ("file:///etc/passwd", "URL_UNSUPPORTED"),
        ("%%%", "FIELD_MALFORMED"),
        ("", "FIELD_MALFORMED"),
        ([1], "FIELD_MALFORMED"),
        (bytes(10_000_001), "BODY_TOO_LARGE"),
        ("A" * 14_000_000, "BODY_TOO_LARGE"),
    ],
)
async def test_a_picture_that_is_none_is_refused_with_its_field(rig: Rig, data: Any, reason: str) -> None:
    async with page(rig) as it:
        said = (await it.client.call("upload_image", {"image_data": data}))["error"]
        assert (said["reason"], said["field"], said["job_id"]) == (reason, "image_data", None)
        assert it.all("error") == [said]


@pytest.mark.parametrize(
    "packet",
    [
        *('42["connect",{"key":"x"},{"key":"x"}]', '42["disconnect","reason"]', '42["*"]', "42{}", "42[]", "42[7]"),
        *('42["shout",{}]', '42["set_mode","i2v"]', '42["set_mode",{},{}]', '42["set_mode",{"mode":"root"}]'),
        '42["start_generation",{"prompt":"a","__proto__":1}]',
        '42["start_generation",{"prompt":"a","seed":1e999}]',
        '42["start_generation",{"prompt":"a","seed":"1; drop table"}]',
        '42["start_generation",{"prompt":""}]',
        '42["start_generation",{"mode":"i2v","prompt":"a"}]',
        '42["start_generation",{"mode":"i2v","prompt":"a","image":"assets/../x"}]',
        '42["start_generation",{"prompt":"a","request_id":"\\ud800"}]',
        '42["resume",{"job_id":"../../etc"}]',
        '42["resume",{"job_id":"x","frame_index":-9}]',
    ],
)
async def test_an_event_that_cannot_be_one_is_answered_with_an_error(rig: Rig, packet: str) -> None:
    async with raw_socket(rig) as it:
        await it.send(packet)
        if "1e999" in packet:
            await it.send('42["shout"]')  # infinity is no JSON: the packet is dropped
        assert await it.error()


@pytest.mark.parametrize(
    "packets",
    [
        [f'42["set_mode",{DEEP}'],
        [f"4{DEEP}"],
        ["4"],
        ["49"],
        ["9"],
        [""],
        ["42"],
        ["451000000-[]"],
        ['451-["set_mode",{"_placeholder":true,"num":7}]', b"x"],
        ['451-["set_mode",{"_placeholder":true,"num":"a"}]', b"x"],
        [b"\xff\xfe"],
        ["40", "40", '40{"key":"guessed"}', "40/admin,{}", "41/admin,"],
        ['43/other,7["x"]', '437["x"]'],
    ],
)
async def test_packets_that_are_none_harm_only_their_sender(rig: Rig, packets: list[str | bytes]) -> None:
    async with raw_socket(rig) as it, page(rig) as other:
        await it.pour(packets)
        assert await other.client.call("set_mode", {"mode": "t2v"}) == {"mode": "t2v"}
        if not it.ws.closed:
            await it.send('42["shout",{}]')
            assert await it.error() in ("EVENT_UNKNOWN", "EVENT_MALFORMED", "")


async def test_a_caller_has_few_connections(rig: Rig) -> None:
    async with page(rig), page(rig), page(rig), page(rig):
        assert (await refused(rig, {"key": "studio-key", "user": rig.user}))["reason"] == "CALLER_SOCKETS_FULL"
        assert (await refused(rig, {"key": "guessed"}))["reason"] == "API_KEY_UNKNOWN"
    async with page(rig):
        pass


async def test_connections_that_do_not_say_who_they_are_count_and_get_nothing(rig: Rig) -> None:
    async with aiohttp.ClientSession() as session:
        opened = [await session.ws_connect(f"{rig.address}{PATH}websocket") for _ in range(12)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await session.ws_connect(f"{rig.address}{PATH}websocket")
        assert refusal.value.status == 503
        polled = await rig.http.get(f"{rig.address}{PATH}polling")
        assert (polled.status_code, polled.json()["reason"]) == (503, "SOCKETS_FULL")
        await opened[0].send_str('42["start_generation",{"prompt":"a"}]')
        for each in opened:
            await each.close()


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://page.example", 200), ("https://evil.example", 400), ("null", 400), ("", 200)],
)
async def test_only_pages_of_known_origins_connect(rig: Rig, origin: str, status: int) -> None:
    headers = {"Origin": origin} if origin else {}
    async with httpx.AsyncClient(trust_env=False, base_url=rig.address) as http, aiohttp.ClientSession() as session:
        answer = await http.get(f"{PATH}polling", headers=headers)
        assert answer.status_code == status, answer.text
        allowed = answer.headers.get("Access-Control-Allow-Origin")
        assert allowed == (origin if status == 200 and origin else None)
        assert "Access-Control-Allow-Credentials" not in answer.headers
        if status == 400:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(f"{rig.address}{PATH}websocket", headers=headers)


async def test_polls_are_no_scripts_and_large_bodies_are_refused(rig: Rig) -> None:
    async with httpx.AsyncClient(trust_env=False, base_url=rig.address) as http:
        for more in ("", "&a=1" * 60):
            answer = await http.get(f"{PATH}polling&j=1{more}")
            assert (answer.status_code, answer.json()["reason"]) == (400, "FIELD_UNKNOWN")
        sid = json.loads((await http.get(f"{PATH}polling")).text[1:])["sid"]
        large = await http.post(f"{PATH}polling&sid={sid}", content=b"4" * (16 * 2**20))
        assert (large.status_code, large.json()["reason"]) == (413, "BODY_TOO_LARGE")
        flood = b"\x1e".join([b'42["set_mode"]'] * 1000)
        assert (await http.post(f"{PATH}polling&sid={sid}", content=flood)).status_code == 429
        assert (await http.post(f"{PATH}polling&sid={sid}", content=b"3")).status_code == 400


async def test_a_connection_sends_little_before_its_caller_is_known(rig: Rig) -> None:
    large = "4" + "A" * 1_000_000
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{rig.address}{PATH}websocket", max_msg_size=0) as ws,
    ):
        await ws.send_str(large)
        assert await RawSocket(ws).closed()
    async with httpx.AsyncClient(trust_env=False, base_url=rig.address) as http:
        sid = json.loads((await http.get(f"{PATH}polling")).text[1:])["sid"]
        answer = await http.post(f"{PATH}polling&sid={sid}", content=large)
        assert (answer.status_code, answer.json()["reason"]) == (413, "BODY_TOO_LARGE")
        said = "40" + json.dumps({"key": "studio-key", "user": rig.user})
        assert (await http.post(f"{PATH}polling&sid={sid}", content=said)).status_code == 200
        while not (packets := (await http.get(f"{PATH}polling&sid={sid}")).text).startswith("40"):
            assert packets[:2] in ("2", "0{")
        assert (await http.post(f"{PATH}polling&sid={sid}", content=large)).status_code == 200


async def test_a_body_of_no_connection_is_not_read(rig: Rig) -> None:
    host, _, port = rig.address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {PATH}polling&sid=unknown HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 9000000\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(30):
        assert b" 400 " in await reader.readline()
    writer.close()


async def test_other_paths_have_no_web_sockets(rig: Rig) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await session.ws_connect(f"{rig.address}/v1/jobs")
        assert refusal.value.status == 401


async def test_prompts_come_back_as_they_are_in_no_event(rig: Rig) -> None:
    async with page(rig) as it:
        await it.client.emit("start_generation", {**START, "prompt": "<img src=x onerror=alert(1)>"})
        await it.next("generation_complete")
        assert "onerror" not in json.dumps(it.got)
