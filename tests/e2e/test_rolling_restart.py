"""Two API processes on one database restart in turn: callers do not notice."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from i2v_client import AsyncClient, job_spec
from services.client.connection import RETRY_FOR_WITH_SEVERAL_S
from tests.support.client_command import Command
from tests.support.pictures import a_picture
from tools.evictions.replicas import Replicas

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

PICTURE = a_picture()


async def test_no_call_fails_while_one_of_two_replicas_runs(database: str, tmp_path: Path) -> None:
    async with Replicas(database, tmp_path, workers=1) as replicas, AsyncExitStack() as stack:
        for name in replicas.names:
            await replicas.start(name)
        i2v = await stack.enter_async_context(
            AsyncClient(replicas.servers, replicas.key, retry_for_s=RETRY_FOR_WITH_SEVERAL_S)
        )
        (tmp_path / "folder").mkdir()
        command = Command(replicas.servers, tmp_path / "folder")
        known = await i2v.submit(job_spec("A wave.", model="test-model"))
        over = asyncio.Event()
        done: dict[str, int] = {}

        async def again(name: str, call: Callable[[], Awaitable[object]]) -> None:
            done[name] = 0
            while not over.is_set():
                await call()
                done[name] += 1

        async def make() -> None:
            job = await i2v.submit(job_spec("A wave.", model="test-model"))
            numbers = [event.sequence async for event in i2v.watch(job.name)]
            job = await i2v.get(job.name)
            assert numbers == list(range(1, job.last_sequence + 1)), job
            assert await i2v.download(job.output.asset, tmp_path / "out.mp4") == job.output.size_bytes

        async def look() -> None:
            assert [job.name async for job in i2v.jobs(page_size=200)][-1] == known.name

        async def type_it() -> None:
            ended = await command("job", known.name, key=replicas.key)
            assert ended.code == 0, ended.err

        async def restart_in_turn() -> None:
            for name in ("api-0", "api-1", "api-0", "api-1"):
                if name == "api-0":
                    assert await replicas.stop(name) == 0
                else:
                    await replicas.kill(name)
                await replicas.start(name)
            over.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(again("make", make))
            group.create_task(again("submit", lambda: i2v.submit(job_spec("A wave.", model="test-model"))))
            group.create_task(again("get", lambda: i2v.get(known.name)))
            group.create_task(again("list", look))
            group.create_task(again("upload", lambda: i2v.upload(PICTURE)))
            group.create_task(again("command", type_it))
            group.create_task(restart_in_turn())
        assert all(done.values()), done
