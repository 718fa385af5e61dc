"""Streams of events while a process stops: the real HTTP process before a real API."""

import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.support.blob_stores import until
from tests.support.builders import ScriptedBackend
from tests.support.event_source import events
from tests.support.served_orchestrator import served, text_spec
from tests.support.studio_rig import before_an_api, http_program
from tools.stack_process import HOST, free_port

KEY = {"Authorization": "Bearer studio-key", "I2V-User": "ann"}


async def test_a_stop_of_the_process_ends_a_stream_between_two_events(database: str, tmp_path: Path) -> None:
    backend = ScriptedBackend()
    backend.gate.clear()
    async with before_an_api(database, tmp_path, backend, {"DRAIN_S": "600"}) as rig:
        job = await rig.i2v.submit(text_spec())
        await backend.begun.wait()
        async with rig.http.stream("GET", f"{rig.address}/v1/{job.name}/events", headers=KEY) as answer:
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
