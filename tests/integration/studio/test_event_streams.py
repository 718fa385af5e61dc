"""Events over HTTP: the real process before a real API."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
from i2v.admin.v1 import key_pb2

from tests.integration.tenants.conftest import FIRST_OPERATOR, Admin
from tests.support.blob_stores import until
from tests.support.builders import ScriptedBackend
from tests.support.event_source import Sent, counted, events
from tests.support.served_orchestrator import text_spec
from tests.support.studio_rig import Rig, before_an_api

ENDED = 'i2v_studio_event_streams_total{{end="{}"}}'


@pytest.fixture(scope="module")
async def slow() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture(scope="module")
async def before(
    shared_database: str, slow: ScriptedBackend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("studio")
    operator = folder / "operator-key"
    operator.write_text(FIRST_OPERATOR)
    studio = {"CALLER_EVENT_STREAMS": "3"}
    async with before_an_api(shared_database, folder, slow, studio, operator_key_file=str(operator)) as made:
        yield made


@pytest.fixture
async def backend(slow: ScriptedBackend) -> AsyncIterator[ScriptedBackend]:
    """Its jobs wait after their first fragment while the gate is shut."""
    slow.begun.clear()
    yield slow
    slow.gate.set()


@pytest.fixture
def rig(before: Rig) -> Rig:
    return before.of(f"user-{uuid.uuid4().hex}")


def key(rig: Rig) -> dict[str, str]:
    return {"Authorization": "Bearer studio-key", "I2V-User": rig.user}


def url(rig: Rig, job: str) -> str:
    return f"{rig.address}/v1/{job}/events"


async def read(rig: Rig, job: str, query: str = "", **headers: str) -> list[Sent]:
    async with rig.http.stream("GET", url(rig, job) + query, headers=key(rig) | headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        return [each async for each in events(answer)]


async def test_events_come_in_order_with_their_numbers_and_end_with_the_job(rig: Rig) -> None:
    job = await rig.i2v.submit(text_spec(), user=rig.user)
    async with rig.http.stream("GET", url(rig, job.name), headers=key(rig)) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        sent = [each async for each in events(answer) if each.kind != "heartbeat"]
    assert [each.id for each in sent] == [str(number + 1) for number in range(len(sent))]
    assert [each.data["sequence"] for each in sent] == [each.id for each in sent]
    assert sent[0].kind == "admitted"
    assert sent[-1].kind == "succeeded"
    assert "fragmentReady" in [each.kind for each in sent]
    assert all(each.kind in each.data for each in sent), "the JSON of the proto names the kind as the event does"
    asset = sent[-1].data["succeeded"]["output"]["asset"]
    assert asset == (await rig.i2v.job(job.name, user=rig.user)).output.asset

    half = len(sent) // 2
    assert await read(rig, job.name, **{"Last-Event-ID": str(half)}) == sent[half:]
    assert await read(rig, job.name, f"?lastEventId={half}") == sent[half:]
    assert await read(rig, job.name, "?lastEventId=1", **{"Last-Event-ID": str(half)}) == sent[half:]
    # What follows the last event is nothing, and EventSource does not ask again.
    done = await rig.http.get(url(rig, job.name), headers=key(rig) | {"Last-Event-ID": sent[-1].id})
    assert (done.status_code, done.content) == (204, b"")
    head = await rig.http.head(url(rig, job.name), headers=key(rig))
    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    lines = (await rig.http.get(f"{url(rig, job.name)}?format=text", headers=key(rig))).text.splitlines()
    assert len(lines) == len(sent)
    assert "admitted" in lines[0]
    assert lines[-1].endswith(asset)


async def test_a_refusal_before_the_first_event_is_a_problem(rig: Rig) -> None:
    job = await rig.i2v.submit(text_spec(), user=rig.user)
    await rig.i2v.ended(job.name, user=rig.user)
    last = (await rig.i2v.job(job.name, user=rig.user)).last_sequence
    cases: list[tuple[int, str, str, dict[str, str]]] = [
        (401, "API_KEY_MISSING", f"/v1/{job.name}/events", {"Authorization": ""}),
        (401, "API_KEY_UNKNOWN", f"/v1/{job.name}/events", {"Authorization": "Bearer wrong"}),
        (404, "", "/v1/jobs/0191f0c0-0000-7000-8000-000000000000/events", {}),
        (404, "", f"/v1/{job.name}/events", {"I2V-User": "bob"}),
        (400, "FIELD_MALFORMED", f"/v1/{job.name}/events", {"Last-Event-ID": "-1"}),
        (400, "FIELD_MALFORMED", f"/v1/{job.name}/events?lastEventId=%D9%A1", {}),
        (400, "FIELD_MALFORMED", f"/v1/{job.name}/events", {"Last-Event-ID": str(last + 1)}),
        (400, "FIELD_MALFORMED", f"/v1/{job.name}/events", {"Last-Event-ID": "9" * 400}),
        (400, "FIELD_MALFORMED", f"/v1/{job.name}/events?format=xml", {}),
        (400, "FIELD_UNKNOWN", f"/v1/{job.name}/events?after=1", {}),
        (400, "FIELD_UNKNOWN", "/v1/usage/events?lastEventId=1", {}),
        (405, "METHOD_UNSUPPORTED", f"/v1/{job.name}/events", {"X-Method": "POST"}),
    ]
    for status, reason, path, headers in cases:
        method = headers.pop("X-Method", "GET")
        answer = await rig.http.request(method, rig.address + path, headers=key(rig) | headers)
        assert answer.status_code == status, (path, headers, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert not reason or answer.json()["reason"] == reason, answer.text


async def test_a_reader_has_so_many_streams_and_one_that_goes_makes_room(rig: Rig, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    job = await rig.i2v.submit(text_spec(), user=rig.user)
    await backend.begun.wait()
    left = await counted(rig.http, rig.metrics, ENDED.format("left"))
    async with httpx.AsyncClient(trust_env=False, timeout=30) as other:
        for _ in range(3):
            request = other.build_request("GET", url(rig, job.name), headers=key(rig))
            assert (await other.send(request, stream=True)).status_code == 200
        full = await rig.http.get(url(rig, job.name), headers=key(rig))
        assert (full.status_code, full.json()["reason"]) == (429, "CALLER_STREAMS_FULL")
        assert full.headers["retry-after"] == "1"
        assert await counted(rig.http, rig.metrics, "i2v_studio_event_streams_open") == 3

    async def gone() -> bool:
        return await counted(rig.http, rig.metrics, ENDED.format("left")) == left + 3

    await until(gone)  # the connections are closed: the calls of the API end with them
    backend.gate.set()
    assert (await read(rig, job.name))[-1].kind == "succeeded"
    assert await counted(rig.http, rig.metrics, "i2v_studio_event_streams_open") == 0


async def test_usage_begins_with_the_state_and_goes_on_with_changes(rig: Rig, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    async with rig.http.stream("GET", f"{rig.address}/v1/usage/events", headers=key(rig)) as answer:
        sent = events(answer)
        first = await anext(sent)
        assert (first.kind, first.id, first.data["plan"]) == ("state", "", "test")
        job = await rig.i2v.submit(text_spec(), user=rig.user)
        assert (await anext(sent)).kind == "change"
    await rig.i2v.cancel(job.name, user=rig.user)


async def test_a_reader_of_a_revoked_key_is_told_why_the_stream_ends(rig: Rig, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    job = await rig.i2v.submit(text_spec(), user=rig.user)
    await backend.begun.wait()
    ended = await counted(rig.http, rig.metrics, ENDED.format("failed"))
    admin = Admin(rig.i2v.channel)
    made = await admin.new_key()
    leaked = key(rig) | {"Authorization": f"Bearer {made.key_text}"}
    async with asyncio.timeout(60), rig.http.stream("GET", url(rig, job.name), headers=leaked) as answer:
        sent = events(answer)
        await anext(sent)
        await admin.RevokeKey(key_pb2.RevokeKeyRequest(name=made.key.name, reason="leaked"))
        *_, last = [each async for each in sent]
    assert (last.kind, last.data["status"], last.data["reason"]) == ("error", 401, "API_KEY_REVOKED")
    assert await counted(rig.http, rig.metrics, ENDED.format("failed")) == ended + 1
