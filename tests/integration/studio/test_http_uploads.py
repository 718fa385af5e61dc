"""Uploads over HTTP: the real process before a real API."""

import asyncio
import base64
import hashlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support import pictures, sounds
from tests.support.event_source import counted
from tests.support.studio_rig import PICTURE, Rig, before_an_api

PICTURE_MOST = 10_000_000
PART = {"Content-Type": "application/partial-upload"}
SOUND = sounds.a_sound("audio/wav", 60.0)


@pytest.fixture(scope="module")
async def before(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with before_an_api(shared_database, tmp_path_factory.mktemp("studio"), None, {"STALL_S": "1"}) as made:
        yield made


@pytest.fixture
def rig(before: Rig) -> Rig:
    return before.of(f"user-{uuid.uuid4().hex}")


def key(rig: Rig) -> dict[str, str]:
    return {"Authorization": "Bearer studio-key", "I2V-User": rig.user}


def digest(data: bytes, algorithm: str = "sha-256") -> str:
    value = hashlib.new(algorithm.replace("-", ""), data).digest()
    return f"{algorithm}=:{base64.b64encode(value).decode()}:"


async def slices(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for first in range(0, len(data), size):
        yield data[first : first + size]


async def post(rig: Rig, content: Any, query: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await rig.http.post(f"{rig.address}/v1/uploads{query}", content=content, headers=key(rig) | named)


async def test_a_file_becomes_an_asset_in_one_request(rig: Rig) -> None:
    before = await counted(rig.http, rig.metrics, "i2v_studio_received_bytes_total")
    made = await post(rig, PICTURE, "?title=Cat&tags=a&tags=b", Content_Type="image/png", Repr_Digest=digest(PICTURE))
    assert made.status_code == 201, made.text
    asset = made.json()
    assert made.headers["location"] == f"/v1/{asset['name']}"
    assert (asset["mediaType"], asset["details"]["title"], asset["details"]["tags"]) == ("image/png", "Cat", ["a", "b"])
    got = await rig.http.get(f"{rig.address}{made.headers['location']}", headers=key(rig))
    assert got.json()["details"] == asset["details"]
    # Without a length, without a type, and as curl's --data-binary says it.
    for kind in ("", "application/octet-stream", "application/x-www-form-urlencoded"):
        again = await post(rig, slices(PICTURE, 10), Content_Type=kind, Content_Digest=digest(PICTURE, "sha-512"))
        assert (again.status_code, again.json()["name"]) == (201, asset["name"]), again.text
    assert await counted(rig.http, rig.metrics, "i2v_studio_received_bytes_total") == before + 4 * len(PICTURE)


async def test_files_that_are_refused_leave_nothing(rig: Rig) -> None:
    large = pictures.a_picture() + bytes(PICTURE_MOST + 1 - len(PICTURE))
    other = digest(b"another file")
    cases: list[tuple[int, str, Any, dict[str, str]]] = [
        (401, "API_KEY_MISSING", PICTURE, {"Authorization": ""}),
        (401, "API_KEY_UNKNOWN", large, {"Authorization": "Bearer wrong"}),
        (413, "UPLOAD_TOO_LARGE", large, {"Content_Type": "image/png"}),
        (413, "UPLOAD_TOO_LARGE", slices(large), {"Content_Type": "image/png"}),
        (413, "UPLOAD_TOO_LARGE", slices(large), {"Content_Type": "application/octet-stream"}),
        (415, "MEDIA_TYPE_UNSUPPORTED", PICTURE, {"Content_Type": "text/plain"}),
        (415, "MEDIA_TYPE_UNSUPPORTED", b"MZ no picture", {}),
        (415, "MEDIA_TYPE_UNSUPPORTED", b"", {}),
        (415, "CONTENT_TYPE_UNSUPPORTED", PICTURE, {"Content_Type": "multipart/form-data; boundary=x"}),
        (415, "CONTENT_TYPE_UNSUPPORTED", PICTURE, {"Content_Encoding": "gzip"}),
        (400, "CHECKSUM_MISMATCH", PICTURE, {"Repr_Digest": other}),
        (400, "CHECKSUM_MISMATCH", PICTURE, {"Content_Digest": other}),
        (400, "CHECKSUM_MISMATCH", PICTURE, {"Content_Digest": digest(b"x", "sha-512")}),
        (400, "CHECKSUM_MISMATCH", PICTURE, {"Content_Digest": digest(PICTURE), "Repr_Digest": other}),
        (400, "CHECKSUM_MALFORMED", PICTURE, {"Repr_Digest": "sha-256=:AAAA:"}),
        (400, "CHECKSUM_MALFORMED", PICTURE, {"Content_Digest": "sha-256=abc"}),
        (400, "UPLOAD_LENGTH_INCONSISTENT", PICTURE, {"Upload_Length": str(len(PICTURE) + 1)}),
        (400, "SIZE_MISMATCH", slices(PICTURE), {"Upload_Length": str(len(PICTURE) + 1)}),
    ]
    for status, reason, content, headers in cases:
        answer = await post(rig, content, **headers)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        problem = answer.json()
        found = {problem["reason"], *(each["reason"] for each in problem.get("violations", ()))}
        assert answer.status_code == problem["status"] == status and reason in found, (reason, headers, answer.text)
    unknown = await post(rig, PICTURE, "?name=cat")
    assert (unknown.status_code, unknown.json()["reason"]) == (400, "FIELD_UNKNOWN")
    library = await rig.http.get(f"{rig.address}/v1/assets", headers=key(rig))
    assert library.json()["assets"] == []


async def test_a_body_that_stalls_is_refused_and_one_in_parts_keeps_what_came(rig: Rig) -> None:
    begun = await post(rig, b"", Upload_Complete="?0", Upload_Length=str(len(SOUND)))
    upload = begun.headers["location"]
    part = key(rig) | PART | {"Upload-Offset": "0", "Upload-Complete": "?0"}
    for method, path, headers in (("POST", "/v1/uploads", key(rig)), ("PATCH", upload, part)):
        reader, writer = await _send(rig, method, path, headers, SOUND[:1000], length=2000)
        async with asyncio.timeout(60):
            assert b" 408 " in await reader.readline()
        writer.close()
    await _state(rig, rig.address + upload, 1000)


async def _send(
    rig: Rig, method: str, path: str, headers: dict[str, str], data: bytes, *, length: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Sends the beginning of a request."""
    host, _, port = rig.address.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    own = {"Host": "studio", "Content-Length": length}
    head = "".join(f"{name}: {value}\r\n" for name, value in (headers | own).items())
    writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data)
    await writer.drain()
    return reader, writer


async def test_a_file_comes_in_parts_and_goes_on_after_a_break(rig: Rig) -> None:
    begun = await post(rig, b"", Upload_Complete="?0", Upload_Length=str(len(SOUND)), Content_Type="audio/wav")
    assert begun.status_code == 201, begun.text
    upload = rig.address + begun.headers["location"]
    assert (begun.headers["upload-offset"], begun.headers["upload-complete"]) == ("0", "?0")
    assert "max-age=" in begun.headers["upload-limit"]

    half = len(SOUND) // 2
    part = {"Upload-Offset": "0", "Upload-Complete": "?0", "Content-Digest": digest(SOUND[:half])}
    first = await rig.http.patch(upload, content=SOUND[:half], headers=key(rig) | PART | part)
    assert (first.status_code, first.headers["upload-offset"]) == (204, str(half))
    # A connection that breaks in the middle of the rest: what came of it is kept.
    sent = half + 300_000
    headers = key(rig) | PART | {"Upload-Offset": str(half), "Upload-Complete": "?1"}
    _, writer = await _send(
        rig, "PATCH", begun.headers["location"], headers, SOUND[half:sent], length=len(SOUND) - half
    )
    writer.close()
    state = await _state(rig, upload, sent)
    assert (state.status_code, state.headers["upload-complete"], state.headers["upload-length"]) == (
        204,
        "?0",
        str(len(SOUND)),
    )
    # One that was there before.
    stale = await rig.http.patch(
        upload, content=SOUND[half:], headers=key(rig) | PART | {"Upload-Offset": str(half), "Upload-Complete": "?1"}
    )
    assert (stale.status_code, stale.headers["upload-offset"]) == (409, str(sent))
    assert stale.json()["reason"] == "UPLOAD_OFFSET_WRONG"
    rest = {"Upload-Offset": str(sent), "Upload-Complete": "?1"}
    made = await rig.http.patch(upload, content=slices(SOUND[sent:]), headers=key(rig) | PART | rest)
    assert (made.status_code, made.headers["upload-complete"]) == (201, "?1"), made.text
    assert made.json()["name"] == f"assets/{hashlib.sha256(SOUND).hexdigest()}"
    # The answer was lost: the state says that it is complete, and an empty part brings the answer again.
    assert (await rig.http.head(upload, headers=key(rig))).headers["upload-complete"] == "?1"
    end = {"Upload-Offset": str(len(SOUND)), "Upload-Complete": "?1"}
    again = await rig.http.patch(upload, content=b"", headers=key(rig) | PART | end)
    assert (again.status_code, again.json()["name"]) == (201, made.json()["name"])
    body = (await rig.http.get(upload, headers=key(rig))).json()
    assert (body["receivedBytes"], body["asset"]) == (str(len(SOUND)), made.json()["name"])


async def _state(rig: Rig, upload: str, offset: int) -> httpx.Response:
    """Waits until as much has arrived."""
    async with asyncio.timeout(60):
        while True:
            found = await rig.http.head(upload, headers=key(rig))
            if found.headers["upload-offset"] == str(offset):
                return found


async def test_parts_that_do_not_fit_are_refused_and_change_nothing(rig: Rig) -> None:
    length = {"Upload-Complete": "?0", "Upload-Length": str(len(PICTURE)), "Idempotency-Key": "one"}
    begun = await rig.http.post(f"{rig.address}/v1/uploads", headers=key(rig) | length)
    again = await rig.http.post(f"{rig.address}/v1/uploads", headers=key(rig) | length)
    assert begun.headers["location"] == again.headers["location"]
    upload = rig.address + begun.headers["location"]
    size, at = str(len(PICTURE)), {"Upload-Offset": "0", "Upload-Complete": "?1"}
    cases: list[tuple[int, str, str, Any, dict[str, str]]] = [
        (400, "UPLOAD_LENGTH_REQUIRED", "POST", b"", {"Upload-Complete": "?0"}),
        (400, "UPLOAD_LENGTH_REQUIRED", "POST", b"", {"Upload-Complete": "?0", "Upload-Length": "-1"}),
        (400, "CHECKSUM_MALFORMED", "POST", b"", length | {"Repr-Digest": digest(b"x", "sha-512")}),
        (409, "UPLOAD_ID_REUSED", "POST", b"", length | {"Upload-Length": "7"}),
        (415, "CONTENT_TYPE_UNSUPPORTED", "PATCH", PICTURE, at | {"Content-Type": "image/png"}),
        (400, "FIELD_MALFORMED", "PATCH", PICTURE, {"Upload-Complete": "?1"}),
        (400, "FIELD_MALFORMED", "PATCH", PICTURE, {"Upload-Offset": "0", "Upload-Complete": "true"}),
        (409, "UPLOAD_OFFSET_WRONG", "PATCH", PICTURE[1:], {"Upload-Offset": "1", "Upload-Complete": "?1"}),
        (400, "UPLOAD_LENGTH_INCONSISTENT", "PATCH", PICTURE + b"x", at),
        (400, "UPLOAD_LENGTH_INCONSISTENT", "PATCH", PICTURE[:-1], at),
        (400, "UPLOAD_LENGTH_INCONSISTENT", "PATCH", PICTURE, at | {"Upload-Length": "7"}),
        (400, "CHECKSUM_MISMATCH", "PATCH", PICTURE, at | {"Content-Digest": digest(b"x")}),
        (404, "", "PATCH", PICTURE, at | {"I2V-User": "bob"}),
    ]
    for status, reason, method, content, headers in cases:
        where = upload if method == "PATCH" else f"{rig.address}/v1/uploads"
        answer = await rig.http.request(method, where, content=content, headers=key(rig) | PART | headers)
        problem = answer.json()
        found = {problem["reason"], *(each["reason"] for each in problem.get("violations", ()))}
        assert answer.status_code == status and (not reason or reason in found), (reason, headers, answer.text)
    assert (await rig.http.head(upload, headers=key(rig))).headers["upload-offset"] == "0"
    nothing = await rig.http.get(f"{rig.address}/v1/uploads/no-uuid", headers=key(rig))
    assert (nothing.status_code, nothing.json()["violations"][0]["reason"]) == (400, "UPLOAD_ID_MALFORMED")
    # All of it, but no picture: more bytes would not help.
    wrong = {"Upload-Complete": "?0", "Upload-Length": size}
    other = (await rig.http.post(f"{rig.address}/v1/uploads", headers=key(rig) | wrong)).headers["location"]
    refused = await rig.http.patch(rig.address + other, content=bytes(len(PICTURE)), headers=key(rig) | PART | at)
    assert (refused.status_code, refused.headers["upload-complete"]) == (415, "?1")


async def test_a_beginning_that_is_repeated_says_where_to_go_on(rig: Rig) -> None:
    headers = key(rig) | {"Upload-Complete": "?0", "Upload-Length": str(len(PICTURE)), "Idempotency-Key": "lost"}
    first, again = [
        await rig.http.post(f"{rig.address}/v1/uploads", content=PICTURE[:10], headers=headers) for _ in range(2)
    ]
    assert (first.status_code, again.status_code) == (201, 409)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["upload-offset"] == first.headers["upload-offset"] == "10"


async def test_the_form_for_the_store_is_refused_where_the_bytes_are_in_a_folder(rig: Rig) -> None:
    answer = await rig.http.post(f"{rig.address}/v1/uploads:direct", json={"sizeBytes": 7}, headers=key(rig))
    assert (answer.status_code, answer.json()["reason"]) == (422, "DIRECT_UPLOAD_UNAVAILABLE")
    missing = "/v1/uploads/0191f0c0-0000-7000-8000-000000000000:finalize"
    assert (await rig.http.post(rig.address + missing, headers=key(rig))).status_code == 404
