"""Secrets and users' words through every path of an API and the HTTP process before it, and what their logs have."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass
from prometheus_client import generate_latest

from services.orchestrator.api.access_rules import BY_PATH
from tests.support.builders import ScriptedBackend
from tests.support.log_capture import LogCapture, captured
from tests.support.request_strings import filled, strings
from tests.support.served_orchestrator import Served, caller, text_spec
from tests.support.shared_links import Links
from tests.support.studio_rig import Rig, before_an_api

OPERATOR = "operators-own-words-9f3a"
WORDS = "private-words-of-ann"
"""In every text of every request: prompts, titles, names, filters, reasons."""
RANDOM = "Zq7hunter2Zq7hunter2Zq7hunter2"
PHRASE = "correct horse battery staple"
FIELDS = dict(
    re.findall(r"^\| `(\w+)` \| (text|number|true or false) \|", Path("docs/logs.md").read_text(), re.MULTILINE)
)
TYPES = {"text": str, "number": (int, float), "true or false": bool}
CREDENTIALS = {
    "i2v_abcd1234_" + RANDOM: "an API key",
    f"eyJhbGciOiJSUzI1NiJ9.{RANDOM}.{RANDOM}": "a token",
    "share." + RANDOM: "a share",
    f"signed.{RANDOM}.{RANDOM}": "a signed URL",
    OPERATOR + "x": "a wrong key",
}


@pytest.fixture
def lines() -> Iterator[LogCapture]:
    with captured() as capture:
        yield capture


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
async def rig(database: str, tmp_path: Path, lines: LogCapture, backend: ScriptedBackend) -> AsyncIterator[Rig]:
    (tmp_path / "operator-key").write_text(OPERATOR)
    async with before_an_api(database, tmp_path, backend, operator_key_file=str(tmp_path / "operator-key")) as running:
        yield running


async def answer(call: Awaitable[Any]) -> str:
    """What the caller sees of a refusal; empty: it was answered."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return f"{error.details()} {error.trailing_metadata()}"
    return ""


def call_of(i2v: Served, method: MethodDescriptor, request: bytes, metadata: Any) -> Awaitable[Any]:
    name = f"/{method.containing_service.full_name}/{method.name}"
    if method.client_streaming:
        return i2v.channel.stream_unary(name)(iter([request]), metadata=metadata)
    if method.server_streaming:
        return i2v.channel.unary_stream(name)(request, metadata=metadata).read()
    return i2v.channel.unary_unary(name)(request, metadata=metadata)


async def wrong_credentials(i2v: Served) -> str:
    """Calls with credentials of every kind, in every wrong place."""
    method = Default().FindMethodByName("i2v.v1.JobService.ListJobs")
    seen = []
    for text in CREDENTIALS:
        for value in (f"Bearer {text}", f"Key {text}", text, f"Bearer {text} {text}"):
            for metadata in (
                [("authorization", value)],
                [("authorization", value), ("authorization", value)],
                [("x-api-key", text), ("cookie", text)],
                [*caller(), ("x-note", text)],
                [(caller()[0]), ("i2v-user", " " + text)],
            ):
                seen.append(await answer(call_of(i2v, method, b"", metadata)))
    return "".join(seen)


async def every_text(i2v: Served) -> None:
    """Words in each text of each request, alone."""
    for path in BY_PATH:
        method = Default().FindMethodByName(path[1:].replace("/", "."))
        who = caller(key=OPERATOR if method.full_name.startswith("i2v.admin") else "")
        for text in strings(method.input_type):
            request = GetMessageClass(method.input_type)()
            filled(request, text, WORDS)
            await answer(call_of(i2v, method, request.SerializeToString(), who))


def broken() -> Exception:
    """An error of ours, caused by one that quotes secrets."""
    try:
        try:
            raise ValueError(f"401 for authorization: Key {RANDOM}, {OPERATOR}, postgresql://i2v:{RANDOM}@db/i2v")
        except ValueError as cause:
            raise RuntimeError(f"whsec_{RANDOM} and https://s3/x?X-Amz-Signature={RANDOM}") from cause
    except RuntimeError as error:
        return error


async def jobs_that_end(i2v: Served, backend: ScriptedBackend) -> str:
    """A job that makes a video, and one whose backend breaks. Returns the latter as its caller sees it."""
    made = await i2v.submit(text_spec(WORDS, details={"title": WORDS}))
    await i2v.ended(made.name)
    backend.troubles = [broken()] * 50
    failed = await i2v.ended((await i2v.submit(text_spec(WORDS))).name)
    assert failed.error.reason, failed
    return str(failed.error)


async def of_http(rig: Rig) -> tuple[str, list[str]]:
    """URLs, shares and altered ones over HTTP, with a pass phrase. Returns what refusals say, and the credentials."""
    asset, _ = await rig.picture()
    url, links = await rig.url(asset.name), Links(rig.i2v)
    share = await links.make(asset=asset.name, pass_phrase=PHRASE)
    await links.unlock(share.token, PHRASE)
    said = [await answer(links.unlock(share.token, PHRASE + PHRASE))]
    said += [(await rig.http.get(each)).text for each in (url + "x", url[:-1], share.url + "x", url + "/../x")]
    assert (await rig.http.get(url)).status_code == 200
    for phrase in (PHRASE + PHRASE, PHRASE):
        said.append((await rig.http.post(f"{share.url}/unlock", data={"pass_phrase": phrase})).text)
    return "".join(said), [url.rpartition("/")[2], share.token]


async def test_no_line_metric_or_error_has_a_secret_or_a_users_words(
    rig: Rig, lines: LogCapture, backend: ScriptedBackend
) -> None:
    seen = await wrong_credentials(rig.i2v)
    await every_text(rig.i2v)
    seen += await jobs_that_end(rig.i2v, backend)
    said, credentials = await of_http(rig)
    metrics = generate_latest(rig.i2v.registry).decode() + (await rig.http.get(rig.metrics)).text
    of_studio = rig.log.read_text()
    secrets = [OPERATOR, RANDOM, PHRASE, "studio-key", *credentials]
    for place in ("".join(lines.json), "".join(lines.text), metrics, of_studio):
        assert [each for each in (*secrets, WORDS) if each in place] == []
    assert [each for each in secrets if each in seen + said] == []
    the_lines_fit_their_schema([*lines.json, *of_studio.splitlines()])
    assert {"refused", "answered", "job ended", "the attempt broke"} <= {
        json.loads(each)["message"] for each in lines.json
    }
    ended = [json.loads(each) for each in lines.json if '"message":"job ended"' in each]
    assert {(each["tenant"], each["attempt"], bool(each["job_id"])) for each in ended} >= {("studio", 1, True)}


def the_lines_fit_their_schema(lines: list[str]) -> None:
    for line in lines:
        assert line.isprintable()
        fields = json.loads(line)
        assert list(fields)[:4] == ["time", "level", "logger", "message"]
        if fields["logger"].startswith("services."):
            wrong = {name for name, value in fields.items() if not isinstance(value, TYPES[FIELDS[name]])}
            assert wrong == set(), line


async def test_each_refused_call_is_one_line_that_no_caller_can_forge(rig: Rig, lines: LogCapture) -> None:
    i2v, known = rig.i2v, Default().FindMethodByName("i2v.v1.JobService.GetJob")
    forged = 'x\n{"level":"ERROR"}\r\x1b[2K\u2028'
    request = GetMessageClass(known.input_type)(name=forged)
    refused = [*caller(), ("x-request-id", "r-1")], [("authorization", "Bearer no"), ("x-request-id", "r-2")]
    for metadata in refused:
        await answer(call_of(i2v, known, request.SerializeToString(), metadata))
    unknown = i2v.channel.unary_unary("/i2v.v1.JobService/Unk\u00fcnown")(b"", metadata=[("x-request-id", "r-3")])
    assert "Method not found" in await answer(unknown)
    found = [json.loads(each) for each in lines.json if '"message":"refused"' in each]
    by_id = {each["request_id"]: each for each in found}
    assert [each["request_id"] for each in found] == ["r-1", "r-2", "r-3"]
    first, second, third = (by_id[f"r-{number}"] for number in (1, 2, 3))
    assert (first["method"], first["tenant"]) == ("/i2v.v1.JobService/GetJob", "studio")
    assert (second["code"], second["reason"], "tenant" in second) == ("Unauthenticated", "API_KEY_UNKNOWN", False)
    assert {each["level"] for each in found} == {"INFO"}
    assert re.fullmatch(r"ipv4:127\.0\.0\.1:\d+", first["peer"]) and first["peer"] == second["peer"]
    assert third["code"] == "Unimplemented"
    assert all(each.isprintable() for each in (*lines.json, *lines.text))
