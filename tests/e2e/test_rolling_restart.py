"""Two API processes on one database restart in turn: callers do not notice."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest

from services.client.client import Client, job_spec
from services.client.connection import RETRY_FOR_WITH_SEVERAL_S
from tests.support.client_command import Command
from tests.support.pictures import a_picture
from tests.support.programs import Program, fresh_port, program
from tests.support.worker_processes import fake_models

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

PLAN = "[plans.development]\n"  # without limits
PICTURE = a_picture()


class Replicas:
    """Two API processes, and the worker that makes their videos."""

    def __init__(self, database: str, data: Path) -> None:
        models, plans = fake_models(data), data / "plans.toml"
        plans.write_text(PLAN)
        self._data = data
        self.addresses = [f"127.0.0.1:{fresh_port()}" for _ in range(2)]
        self._settings = {
            "I2V_DATABASE_URL": database,
            "I2V_DATA": str(data),
            "I2V_TRITON": "",
            "I2V_FAKE_SLOTS": "4",
            "I2V_MODELS_FILE": str(models),
            "I2V_PLANS_FILE": str(plans),
            "I2V_DEV_KEY_FILE": str(data / "dev-key"),
            "I2V_WORKER_NAME": "worker-0",
            "I2V_DRAIN_S": "1",
        }

    def start(self, role: str, address: str = "") -> AbstractAsyncContextManager[Program]:
        log = self._data / f"{role}-{address.rpartition(':')[2]}.log"
        return program("services.orchestrator", role, log=log, prefix="I2V_", address=address, **self._settings)

    @property
    def key(self) -> str:
        return (self._data / "dev-key").read_text().strip()


async def test_no_call_fails_while_one_of_two_replicas_runs(database: str, tmp_path: Path) -> None:
    replicas = Replicas(database, tmp_path)
    async with AsyncExitStack() as stack:
        first, second = replicas.addresses
        running = {first: AsyncExitStack(), second: AsyncExitStack()}
        programs = {}
        for address in replicas.addresses:
            stack.push_async_exit(running[address])
            programs[address] = await running[address].enter_async_context(replicas.start("api", address))
        await stack.enter_async_context(replicas.start("worker"))
        i2v = await stack.enter_async_context(
            Client(f"{first},{second}", replicas.key, retry_for_s=RETRY_FOR_WITH_SEVERAL_S)
        )
        (tmp_path / "folder").mkdir()
        command = Command(f"{first},{second}", tmp_path / "folder")
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
            for address in (first, second, first, second):
                if address == first:
                    assert await programs[address].stop() == 0
                else:
                    await programs[address].kill()
                await running[address].aclose()
                programs[address] = await running[address].enter_async_context(replicas.start("api", address))
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
