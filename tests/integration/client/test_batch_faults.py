"""`i2v batch` interrupted: by Ctrl-C, by kill -9, by a restart of the server and by a second batch."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from i2v.v1 import job_pb2

from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command, Ended
from tests.support.served_orchestrator import Served, caller, served

ROWS = 5
BATCH = ("batch", "--model", "test-model", "--output_folder", "videos", "--data_path", "rows.txt", "--at_once", "2")


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
async def service(database: str, tmp_path: Path, backend: ScriptedBackend) -> AsyncIterator[Served]:
    async with served(database, tmp_path / "data", {"test": (backend, 4)}) as running:
        yield running


@pytest.fixture
def i2v(service: Served, tmp_path: Path) -> Command:
    return a_command(service, tmp_path)


def a_command(service: Served, folder: Path) -> Command:
    (folder / "rows.txt").write_text("\n".join(f"wave {row}" for row in range(ROWS)))
    return Command(service.address, folder)


async def line(process: asyncio.subprocess.Process, text: str) -> None:
    """Waits for a line of stderr."""
    assert process.stderr is not None
    async with asyncio.timeout(90):
        async for each in process.stderr:
            if text in each.decode():
                return
    raise AssertionError(f"the command never printed {text!r}")


async def jobs(service: Served) -> list[job_pb2.Job]:
    request = job_pb2.ListJobsRequest(page_size=200)
    return list((await service.jobs.ListJobs(request, metadata=caller(user="default"))).jobs)


async def is_whole(service: Served, ended: Ended) -> None:
    assert ended.code == 0, ended.err
    assert f"{ROWS} of {ROWS} videos are here" in ended.err
    assert len(await jobs(service)) == ROWS


async def begun(i2v: Command, backend: ScriptedBackend) -> asyncio.subprocess.Process:
    """Starts a batch and waits until a job has begun, which does not go on."""
    backend.gate.clear()
    process = await i2v.start(*BATCH, key="studio-key")
    async with asyncio.timeout(90):
        await backend.begun.wait()
    return process


async def test_a_killed_batch_goes_on_where_it_was(service: Served, i2v: Command, backend: ScriptedBackend) -> None:
    process = await begun(i2v, backend)
    process.kill()
    await process.communicate()
    backend.gate.set()
    await is_whole(service, await i2v(*BATCH, key="studio-key"))


async def test_ctrl_c_submits_nothing_more_and_waits(service: Served, i2v: Command, backend: ScriptedBackend) -> None:
    process = await begun(i2v, backend)
    process.send_signal(signal.SIGINT)
    await line(process, "Nothing more is submitted.")
    backend.gate.set()
    ended = await i2v.end(process)
    made = len(await jobs(service))
    assert ended.code == 130 and made <= 2
    assert f"{made} of {ROWS} videos are here" in ended.err
    await is_whole(service, await i2v(*BATCH, key="studio-key"))


async def test_a_second_ctrl_c_leaves_the_jobs_to_the_service(
    service: Served, i2v: Command, backend: ScriptedBackend
) -> None:
    process = await begun(i2v, backend)
    process.send_signal(signal.SIGINT)
    await line(process, "Nothing more is submitted.")
    process.send_signal(signal.SIGINT)
    ended = await i2v.end(process)
    assert ended.code == 130 and "the same command fetches it" in ended.err
    backend.gate.set()
    await is_whole(service, await i2v(*BATCH, key="studio-key"))


async def test_two_batches_are_not_at_work_in_one_folder(
    service: Served, i2v: Command, backend: ScriptedBackend
) -> None:
    process = await begun(i2v, backend)
    second = await i2v(*BATCH, key="studio-key")
    assert second.code == 2 and "another batch is at work in videos" in second.err
    backend.gate.set()
    await is_whole(service, await i2v.end(process))


async def test_a_restart_of_the_server_is_waited_for(database: str, tmp_path: Path) -> None:
    backend = ScriptedBackend()
    async with served(database, tmp_path / "data", {"test": (backend, 4)}) as first:
        i2v = a_command(first, tmp_path)
        process = await begun(i2v, backend)

    def same_port(values: dict[str, Any]) -> None:
        values["listen"] = i2v.address

    backend.gate.set()
    async with served(database, tmp_path / "data", {"test": (backend, 4)}, change=same_port) as second:
        await is_whole(second, await i2v.end(process))


async def test_a_server_that_cannot_be_reached_is_said_soon(service: Served, i2v: Command) -> None:
    ended = await i2v("--server", "127.0.0.1:1", *BATCH, key="studio-key")
    assert ended.code == 5 and "cannot be reached" in ended.err
