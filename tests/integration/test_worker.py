"""A process has room for one worker: it leaves nothing behind, however it ends, and the next begins afresh."""

import asyncio
import threading
from pathlib import Path

import pytest
from i2v.v1 import job_pb2

from services.orchestrator.app import Role
from services.orchestrator.store.claim import NameTaken
from services.orchestrator.store.postgres import PostgresStore
from services.orchestrator.store.queue import Queue
from services.orchestrator.store.roll import PostgresRoll
from services.orchestrator.system import SystemClock
from tests.builders import ScriptedBackend
from tests.served import served, text_spec


def queue_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("queue-worker")]


async def makes_a_job(database: str, folder: Path) -> None:
    """A new orchestrator of this process makes a job, and leaves no thread."""
    async with served(database, folder, {"test": (ScriptedBackend(), 1)}) as i2v, asyncio.timeout(60):
        job = await i2v.ended((await i2v.submit(text_spec())).name)
        assert job.state == job_pb2.Job.SUCCEEDED
    assert queue_threads() == []


async def test_a_stop_that_is_cancelled_ends_everything_first(database: str, tmp_path: Path) -> None:
    serving, leave = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}):
            serving.set()
            await leave.wait()

    living = asyncio.create_task(live())
    await serving.wait()
    leave.set()
    while not living.done():
        living.cancel()  # wherever its stop is
        await asyncio.sleep(0.01)
    assert living.cancelled()
    assert queue_threads() == []
    await makes_a_job(database, tmp_path)


async def test_a_start_that_failed_leaves_room_for_another(database: str, tmp_path: Path, store: PostgresStore) -> None:
    queue = Queue("make_video", "i2v-test", "1")
    other = PostgresRoll(store.database, database, SystemClock(), queue, worker="worker-0", incarnation="other")
    await other.enter()
    with pytest.raises(NameTaken):
        async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}):
            raise AssertionError("it served")
    await other.leave()
    await makes_a_job(database, tmp_path)


async def test_a_second_worker_beside_a_living_one_is_refused_and_harms_nothing(database: str, tmp_path: Path) -> None:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as first:
        with pytest.raises(RuntimeError, match="room for one worker"):
            async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, role=Role.WORKER):
                raise AssertionError("it served")
        job = await first.ended((await first.submit(text_spec())).name)
        assert job.state == job_pb2.Job.SUCCEEDED
