"""Hostile requests on real sockets: each is refused or answered once, the process goes on, and nothing is charged."""

import asyncio
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.studio_rig import PICTURE, Rig, http_process
from tools.stack_process import HOST, free_port

AUTH = b"Host: studio\r\nAuthorization: Bearer studio-key\r\n"
SPEC = {"model": "test-model", "textToVideo": {"prompt": "a wave"}, "duration": "1s"}
JSON = {"Authorization": "Bearer studio-key", "Content-Type": "application/json"}
WITHIN_S = 30.0
MEAN = (
    (b"[" * 10_000, "JSON_MALFORMED"),
    (b'{"spec":' * 10_000, "JSON_MALFORMED"),
    (b'{"spec": {}, "spec": {}}', "JSON_MALFORMED"),
    (b'{"spec": {"imageToVideo": {"guidanceScale": NaN}}}', "JSON_MALFORMED"),
    (b'{"spec": {"imageToVideo": {"guidanceScale": 1e400}}}', "FIELD_MALFORMED"),
    (b'{"spec": {"seed": ' + b"9" * 400 + b"}}", "FIELD_MALFORMED"),
    (b'{"spec": {"seed": ' + b"9" * 100_000 + b"}}", "JSON_MALFORMED"),
    (b'{"spec": {"seed": "' + b"9" * 100_000 + b'"}}', "FIELD_MALFORMED"),
    (b'{"spec": {"details": {"tags": [' + b'"a",' * 200_000 + b'"a"]}}}', "JSON_MALFORMED"),
    (b'{"spec": "\xff"}', "JSON_MALFORMED"),
    (b'{"spec": {"textToVideo": {"prompt": "\\ud800"}}}', "FIELD_MALFORMED"),
    (b"", "OPERATION_MISSING"),
    (b"null", "JSON_MALFORMED"),
    (b'{"spec": {}} {}', "JSON_MALFORMED"),
    (b" " * (3 * 2**20), "BODY_TOO_LARGE"),
)


async def talk(rig: Rig, sent: bytes, *, ends: bool = False) -> list[tuple[int, bytes]]:
    """Sends bytes on one connection, and returns status and rest of each response. `ends`: it sends no more."""
    address = urlsplit(rig.address)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(sent)
        await writer.drain()
        if ends:
            writer.write_eof()
        async with asyncio.timeout(WITHIN_S):
            answers = await reader.read()
    except ConnectionError:
        answers = b""  # closed while it was sent
    finally:
        writer.close()
    found = re.split(rb"HTTP/1\.1 (\d{3}) ", answers)
    return [(int(status), rest) for status, rest in zip(found[1::2], found[2::2], strict=True)]


async def statuses(rig: Rig, sent: bytes, *, ends: bool = False) -> list[int]:
    return [status for status, _ in await talk(rig, sent, ends=ends)]


async def charged(rig: Rig) -> int:
    usage = await rig.i2v.usage(user="default")
    return usage.user.reserved.amount_micros + usage.user.spent.amount_micros


async def test_a_length_that_can_be_understood_in_two_ways_smuggles_no_second_request(own: Rig) -> None:
    job = json.dumps({"spec": SPEC}).encode()
    inner = (
        b"POST /v1/jobs HTTP/1.1\r\n"
        + AUTH
        + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(job)
    )
    hidden = inner + job
    post = b"POST /v1/jobs:preview HTTP/1.1\r\n" + AUTH + b"Content-Type: application/json\r\n"
    for lengths, body in (
        (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + hidden),
        (b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n" % (len(hidden) + 5), b"0\r\n\r\n" + hidden),
        (b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(hidden), hidden),
        (b"Content-Length: 0, %d\r\n" % len(hidden), hidden),
        (b"Content-Length: +2\r\n", b"{}" + hidden),
        (b"Content-Length: -1\r\n", hidden),
        (b"Content-Length: 0x2\r\n", b"{}" + hidden),
        (b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n" + hidden),
        (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + hidden),
        (b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + hidden),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + hidden),
    ):
        found = await statuses(own, post + lengths + b"\r\n" + body)
        assert len(found) == 1 and 400 <= found[0] <= 501, (lengths, found)
    assert await charged(own) == 0


async def test_broken_chunks_and_wrong_lengths_are_no_requests(own: Rig) -> None:
    post = b"POST /v1/jobs:preview HTTP/1.1\r\n" + AUTH + b"Content-Type: application/json\r\n"
    for head, body in (
        (b"Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"2\r\n{}XX0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"-2\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"F" * 40 + b"\r\n{}"),
        (b"Content-Length: 100\r\n", b'{"spec": {}}'),
        (b"Content-Length: 1\r\n", b'{"spec": {}}'),
    ):
        found = await statuses(own, post + head + b"\r\n" + body, ends=True)
        assert all(status >= 400 for status in found), (head, body, found)
    assert await charged(own) == 0


async def test_odd_heads_are_answered_at_most_once(own: Rig) -> None:
    line = b"GET /v1/usage HTTP/1.1\r\nConnection: close\r\n"
    for name, head, allowed in (
        ("a folded line", line + AUTH + b"X-Folded: a\r\n b\r\n\r\n", (200, 400)),
        ("bare line feeds", (line + AUTH + b"\r\n").replace(b"\r\n", b"\n"), (200, 400)),
        ("NUL in a header", line + AUTH + b"X-A: a\x00b\r\n\r\n", (400,)),
        ("a carriage return in a header", line + AUTH + b"X-A: a\rX-B: b\r\n\r\n", (400,)),
        ("a header without a name", line + AUTH + b": a\r\n\r\n", (400,)),
        ("a header of 100 kB", line + AUTH + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n", (431,)),
        ("1,000 headers", line + AUTH + b"".join(b"X-%d: a\r\n" % n for n in range(1000)) + b"\r\n", (431,)),
        ("two credentials", line + AUTH + b"Authorization: Bearer other\r\n\r\n", (400,)),
        ("two users", line + AUTH + b"I2V-User: ann\r\nI2V-User: bob\r\n\r\n", (400,)),
        ("no host", line + b"\r\n", (400,)),
        ("a path of 60 kB", line.replace(b"usage", b"jobs/" + b"a" * 60_000) + AUTH + b"\r\n", (400, 404, 414)),
        ("another version", line.replace(b"1.1", b"9.9", 1) + AUTH + b"\r\n", (200, 400, 505)),
        ("an upgrade", line + AUTH + b"Upgrade: websocket\r\n\r\n", (200, 400)),
        ("an override", line.replace(b"GET", b"POST") + AUTH + b"X-HTTP-Method-Override: GET\r\n\r\n", (405,)),
        ("TRACE", line.replace(b"GET", b"TRACE") + AUTH + b"\r\n", (405,)),
    ):
        found = await statuses(own, head)
        assert len(found) == 1 and found[0] in allowed, (name, found)
    assert await statuses(own, line + AUTH + b"\r\n") == [200]


async def test_paths_that_disguise_where_they_go_name_nothing(own: Rig) -> None:
    asset = await own.i2v.upload(PICTURE, user="default")
    digest = asset.name.removeprefix("assets/").encode()
    for path in (
        b"/v1/assets%2F" + digest,
        b"/v1/assets/..%2fassets%2f" + digest,
        b"/v1/assets/%2e%2e/assets/" + digest,
        b"/v1/collections/../assets/" + digest,
        b"/v1//assets/" + digest,
        b"//v1/assets/" + digest,
        b"/v1/assets/" + digest + b"%00",
        b"/v1/assets/" + digest + b"/",
        b"/v1/assets/" + digest + b"%5c..",
        b"/v1/assets/%zz",
        b"/v1/assets/%ff%fe",
        b"/v1/assets/" + digest + b";a=b",
        b"/v1/jobs/%3Acancel",
        b"/v1",
        b"/V1/assets/" + digest,
        b"/v1/assets/" + b"a" * 129,
    ):
        found = await statuses(own, b"GET " + path + b" HTTP/1.1\r\n" + AUTH + b"Connection: close\r\n\r\n")
        assert found in ([404], [405]), (path, found)


async def test_no_answer_sends_a_client_to_another_host(own: Rig) -> None:
    for path in (b"//evil.example/v1/jobs/", b"/v1/jobs/", b"/media/x/", b"/\\evil.example", b"/%2f%2fevil.example/"):
        head = (
            b"GET "
            + path
            + b" HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n"
        )
        for status, rest in await talk(own, head):
            assert status >= 400
            assert b"location:" not in rest.lower() and b"evil.example" not in rest
    made = await own.http.post(
        f"{own.address}/v1/jobs", json={"spec": SPEC}, headers=JSON | {"Host": "evil.example", "I2V-User": own.user}
    )
    assert made.headers["location"].startswith("/v1/jobs/")


async def test_json_that_means_harm_is_refused_by_its_reason(own: Rig) -> None:
    for body, reason in MEAN:
        answer = await own.http.post(f"{own.address}/v1/jobs", content=body, headers=JSON)
        status = 413 if reason == "BODY_TOO_LARGE" else 400
        assert (answer.status_code, answer.json()["reason"]) == (status, reason), (body[:40], answer.text)
    assert await charged(own) == 0


async def test_other_bodies_and_slow_ones_are_not_read(own: Rig) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = await own.http.post(f"{own.address}/v1/jobs", content=b"{}", headers=JSON | {"Content-Type": kind})
        assert (answer.status_code, answer.json()["reason"]) == (415, "CONTENT_TYPE_UNSUPPORTED"), kind
    packed = await own.http.post(f"{own.address}/v1/jobs", content=b"{}", headers=JSON | {"Content-Encoding": "gzip"})
    assert packed.status_code == 415
    for head in (b"Content-Length: 1000000\r\n", b"Transfer-Encoding: chunked\r\n"):
        # A large body, or one of unknown length, is not waited for before the key is known.
        wrong = b"Host: s\r\nConnection: close\r\nAuthorization: Bearer wrong\r\nContent-Type: application/json\r\n"
        ((status, _),) = await talk(own, b"POST /v1/jobs HTTP/1.1\r\n" + wrong + head + b"\r\n")
        assert status == 401


async def test_pages_of_other_origins_read_and_change_nothing(own: Rig) -> None:
    origin = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    preflight = origin | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    answer = await own.http.options(f"{own.address}/v1/jobs", headers=preflight)
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    cookies = origin | {
        "Cookie": "session=studio-key; authorization=Bearer studio-key",
        "Content-Type": "application/json",
    }
    for method, path in (("POST", "/v1/jobs"), ("GET", "/v1/jobs"), ("POST", "/v1/assets:emptyTrash")):
        answer = await own.http.request(method, own.address + path, headers=cookies)
        assert (answer.status_code, answer.json()["reason"]) == (401, "API_KEY_MISSING")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "set-cookie" not in answer.headers
    named = f"{own.address}/v1/jobs?access_token=studio-key&authorization=Bearer+studio-key"
    assert (await own.http.get(named)).status_code == 401


async def test_pages_of_chosen_origins_may_call_without_credentials_of_a_browser(own: Rig, tmp_path: Path) -> None:
    settings = {"CORS_ORIGINS": "https://app.example.com,https://b.example.com"}
    port = free_port()
    async with http_process(tmp_path, port, own.i2v.address, settings):
        address, http = f"http://{HOST}:{port}", own.http
        ours, foreign = {"Origin": "https://app.example.com"}, {"Origin": "https://app.example.com.evil.example"}
        wish = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,if-match"}
        allowed = await http.options(f"{address}/v1/assets/x", headers=ours | wish)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://app.example.com"
        assert "PATCH" in allowed.headers["access-control-allow-methods"]
        refused = await http.options(f"{address}/v1/assets/x", headers=foreign | wish)
        assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (400, False)
        for path in ("/v1/usage", "/v1/nothing", "/v1/videos"):
            read = await http.get(address + path, headers=JSON | ours)
            assert read.headers["access-control-allow-origin"] == "https://app.example.com"
            assert "etag" in read.headers["access-control-expose-headers"].lower()
            assert read.headers["vary"] == "Origin"
            assert "access-control-allow-credentials" not in read.headers
        foreign_read = await http.get(f"{address}/v1/usage", headers=JSON | foreign)
        assert "access-control-allow-origin" not in foreign_read.headers
        shared = await http.get(f"{address}/s/x", headers=ours)
        assert "access-control-allow-origin" not in shared.headers
