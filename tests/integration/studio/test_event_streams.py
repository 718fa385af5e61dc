"""Events over HTTP: the real process before a real API."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from i2v.admin.v1 import key_pb2

from tests.integration.tenants.conftest import FIRST_OPERATOR, Admin
from tests.support.blob_stores import until
from tests.support.builders import ScriptedBackend
from tests.support.event_source import Sent, counted, events
from tests.support.served_orchestrator import served, text_spec
from tests.support.studio_rig import Rig, before_an_api, http_program
from tools.stack_process import HOST, free_port

KEY = {"Authorization": "Bearer studio-key", "I2V-User": "ann"}
ENDED = 'i2v_studio_event_streams_total{{end="{}"}}'


@pytest.fixture
async def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
async def rig(database: str, tmp_path: Path, backend: ScriptedBackend) -> AsyncIterator[Rig]:
    (tmp_path / "operator-key").write_text(FIRST_OPERATOR)
    studio, key_file = {"CALLER_EVENT_STREAMS": "3"}, str(tmp_path / "operator-key")
    async with before_an_api(database, tmp_path, backend, studio, operator_key_file=key_file) as made:
        yield made


def url(rig: Rig, job: str) -> str:
    return f"{rig.address}/v1/{job}/events"


async def read(rig: Rig, job: str, query: str = "", **headers: str) -> list[Sent]:
    async with rig.http.stream("GET", url(rig, job) + query, headers=KEY | headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        return [each async for each in events(answer)]


async def test_events_come_in_order_with_their_numbers_and_end_with_the_job(rig: Rig) -> None:
    job = await rig.i2v.submit(text_spec())
    async with rig.http.stream("GET", url(rig, job.name), headers=KEY) as answer:
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
    assert asset == (await rig.i2v.job(job.name)).output.asset

    half = len(sent) // 2
    assert await read(rig, job.name, **{"Last-Event-ID": str(half)}) == sent[half:]
    assert await read(rig, job.name, f"?lastEventId={half}") == sent[half:]
    assert await read(rig, job.name, "?lastEventId=1", **{"Last-Event-ID": str(half)}) == sent[half:]
    # What follows the last event is nothing, and EventSource does not ask again.
    done = await rig.http.get(url(rig, job.name), headers=KEY | {"Last-Event-ID": sent[-1].id})
    assert (done.status_code, done.content) == (204, b"")
    head = await rig.http.head(url(rig, job.name), headers=KEY)
    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    lines = (await rig.http.get(f"{url(rig, job.name)}?format=text", headers=KEY)).text.splitlines()
    assert len(lines) == len(sent)
    assert "admitted" in lines[0]
    assert lines[-1].endswith(asset)


async def test_a_refusal_before_the_first_event_is_a_problem(rig: Rig) -> None:
    job = await rig.i2v.submit(text_spec())
    await rig.i2v.ended(job.name)
    last = (await rig.i2v.job(job.name)).last_sequence
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
        answer = await rig.http.request(method, rig.address + path, headers=KEY | headers)
        assert answer.status_code == status, (path, headers, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert not reason or answer.json()["reason"] == reason, answer.text


async def test_a_reader_has_so_many_streams_and_one_that_goes_makes_room(rig: Rig, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    job = await rig.i2v.submit(text_spec())
    await backend.begun.wait()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as other:
        for _ in range(3):
            request = other.build_request("GET", url(rig, job.name), headers=KEY)
            assert (await other.send(request, stream=True)).status_code == 200
        full = await rig.http.get(url(rig, job.name), headers=KEY)
        assert (full.status_code, full.json()["reason"]) == (429, "CALLER_STREAMS_FULL")
        assert full.headers["retry-after"] == "1"
        assert await counted(rig.http, rig.metrics, "i2v_studio_event_streams_open") == 3

    async def gone() -> bool:
        return await counted(rig.http, rig.metrics, ENDED.format("left")) == 3

    await until(gone)  # the connections are closed: the calls of the API end with them
    backend.gate.set()
    assert (await read(rig, job.name))[-1].kind == "succeeded"
    assert await counted(rig.http, rig.metrics, "i2v_studio_event_streams_open") == 0


async def test_usage_begins_with_the_state_and_goes_on_with_changes(rig: Rig, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    async with rig.http.stream("GET", f"{rig.address}/v1/usage/events", headers=KEY) as answer:
        sent = events(answer)
        first = await anext(sent)
        assert (first.kind, first.id, first.data["plan"]) == ("state", "", "test")
        job = await rig.i2v.submit(text_spec())
        assert (await anext(sent)).kind == "change"
    await rig.i2v.cancel(job.name)


async def test_a_reader_of_a_revoked_key_is_told_why_the_stream_ends(rig: Rig, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    job = await rig.i2v.submit(text_spec())
    await backend.begun.wait()
    admin = Admin(rig.i2v.channel)
    made = await admin.new_key()
    key = KEY | {"Authorization": f"Bearer {made.key_text}"}
    async with asyncio.timeout(60), rig.http.stream("GET", url(rig, job.name), headers=key) as answer:
        sent = events(answer)
        await anext(sent)
        await admin.RevokeKey(key_pb2.RevokeKeyRequest(name=made.key.name, reason="leaked"))
        *_, last = [each async for each in sent]
    assert (last.kind, last.data["status"], last.data["reason"]) == ("error", 401, "API_KEY_REVOKED")
    assert await counted(rig.http, rig.metrics, ENDED.format("failed")) == 1


async def test_a_stop_of_the_process_ends_a_stream_between_two_events(
    database: str, tmp_path: Path, backend: ScriptedBackend
) -> None:
    backend.gate.clear()
    async with before_an_api(database, tmp_path, backend, {"DRAIN_S": "600"}) as rig:
        job = await rig.i2v.submit(text_spec())
        await backend.begun.wait()
        async with rig.http.stream("GET", url(rig, job.name), headers=KEY) as answer:
            sent = events(answer)
            await anext(sent)
            os.kill(rig.process.pid, signal.SIGTERM)
            rest = [each.kind async for each in sent]  # to the end of the body: httpx raises if it is broken off
        assert "error" not in rest

        async def stopped() -> bool:
            return not rig.process.lives

        await until(stopped)
        backend.gate.set()
    log = rig.log.read_text()
    assert '"ERROR"' not in log and "Traceback" not in log, log


async def test_a_stream_goes_on_over_a_restart_of_the_api(database: str, tmp_path: Path) -> None:
    port, studio_port = free_port(), free_port()

    def change(values: dict[str, Any]) -> None:
        values["listen"] = f"{HOST}:{port}"

    first, second = ScriptedBackend(), ScriptedBackend()
    first.gate.clear()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=90))
        async with served(database, tmp_path, {"test": (first, 1)}, change=change) as i2v:
            # Not by a thread: the process ends with it, and the API ends its threads.
            stack.enter_context(http_program(tmp_path, studio_port, free_port(), f"{HOST}:{port}"))
            job = await i2v.submit(text_spec())
            await first.begun.wait()
            path = f"http://{HOST}:{studio_port}/v1/{job.name}/events"
            answer = await stack.enter_async_context(http.stream("GET", path, headers=KEY))
            sent = events(answer)
            before = [await anext(sent), await anext(sent)]
        async with served(database, tmp_path, {"test": (second, 1)}, change=change):
            every = [*before, *[each async for each in sent if each.kind != "heartbeat"]]
    assert [each.id for each in every] == [str(number + 1) for number in range(len(every))]
    assert every[-1].kind == "succeeded"
