"""Socket.IO while a job runs: it is stopped, the connection breaks, the API starts again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.live_rig import Steps, stepped
from tests.support.served_orchestrator import served
from tests.support.socket_page import KEY, START, page, page_at
from tests.support.studio_rig import Rig, before_an_api, http_program
from tools.stack_process import HOST, free_port


@pytest.fixture
async def steps(database: str, tmp_path: Path) -> AsyncIterator[tuple[Rig, Steps]]:
    backend, gate = stepped()
    async with before_an_api(database, tmp_path, backend) as rig:
        yield rig, gate
        gate.set()


async def test_a_job_is_stopped_by_the_page_that_started_it(steps: tuple[Rig, Steps]) -> None:
    rig, gate = steps
    async with page(rig) as it:
        assert (await it.client.call("stop_generation"))["error"]["reason"] == "NOTHING_TO_STOP"
        started = await it.client.call("start_generation", {**START, "seconds": 2})
        await it.next("frame_ready")
        assert await it.client.call("stop_generation") == {"job_id": started["job_id"]}
        gate.set()
        async with asyncio.timeout(60):
            while (await it.next("status")).get("state") != "cancelled":
                pass
        assert it.all("generation_complete") == []
        await rig.i2v.ended(f"jobs/{started['job_id']}")


async def test_a_job_continues_at_the_frame_after_the_one_that_the_page_has(steps: tuple[Rig, Steps]) -> None:
    rig, gate = steps
    async with page(rig, tab="one") as first:
        job_id = (await first.client.call("start_generation", {**START, "seconds": 2}))["job_id"]
        await first.until("frame_ready", 4)
    gate.set()
    async with page(rig, tab="one") as second:
        await second.next("generation_complete")
        came = [each["frame_index"] for each in second.all("frame_ready")]
        assert came == list(range(came[0], 16)) and came[0] in (3, 4)  # whether its acknowledgement came or was lost
    async with page(rig, jobs=[{"job_id": job_id, "frame_index": 13}]) as third:
        await third.next("generation_complete")
        assert [each["frame_index"] for each in third.all("frame_ready")] == [14, 15]
        assert await third.client.call("resume", {"job_id": job_id, "frame_index": 14}) == {"job_id": job_id}
        await third.next("generation_complete")
        assert [each["frame_index"] for each in third.all("frame_ready")] == [14, 15, 15]


async def test_a_connection_that_drops_resumes_its_jobs_by_itself(steps: tuple[Rig, Steps]) -> None:
    rig, gate = steps
    async with page(rig, tab="phone", reconnects=True) as it:
        await it.client.call("start_generation", {**START, "seconds": 2})
        await it.until("frame_ready", 4)
        await it.drop()
        gate.set()
        await it.next("generation_complete")
        came = [each["frame_index"] for each in it.all("frame_ready")]
        assert list(dict.fromkeys(came)) == list(range(16))  # one comes twice if its acknowledgement was lost
        assert len(came) < 24


async def test_a_page_goes_on_over_a_restart_of_the_api(database: str, tmp_path: Path) -> None:
    port, studio_port = free_port(), free_port()

    def change(values: dict[str, Any]) -> None:
        values["listen"] = f"{HOST}:{port}"

    first, gate = stepped()
    second, again = stepped()
    again.set()
    async with AsyncExitStack() as stack:
        async with served(database, tmp_path, {"test": (first, 1)}, change=change):
            # Not by a thread: the process ends with it, and the API ends its threads.
            stack.enter_context(http_program(tmp_path, studio_port, free_port(), f"{HOST}:{port}"))
            address = f"http://{HOST}:{studio_port}"
            auth = {"key": KEY, "user": "ann"}
            it = await stack.enter_async_context(page_at(address, auth))
            polls = await stack.enter_async_context(page_at(address, auth, ("polling",)))
            await it.client.call("start_generation", {**START, "seconds": 2})
            for each in (it, polls):
                await each.until("frame_ready", 4)
        gate.set()
        async with served(database, tmp_path, {"test": (second, 1)}, change=change):
            for each in (it, polls):
                await each.next("generation_complete")
    for each in (it, polls):
        assert [frame["frame_index"] for frame in each.all("frame_ready")] == list(range(16))
        assert each.all("error") == []
