"""A process runs one worker at a time: it leaves nothing behind, however it ends, and the next starts clean."""

import asyncio
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from dbos._dbos import _get_dbos_instance
from i2v.v1 import job_pb2

from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.pace import Pace
from services.orchestrator.ports.prompt_writer import ModelDown
from services.orchestrator.role import Role
from services.orchestrator.store.database import KEEPALIVE
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.worker_name_lock import NameTaken
from services.orchestrator.store.workers import PostgresWorkers
from services.orchestrator.worker.queue_names import MAKE_VIDEO
from services.reasons import PromptReason
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, served, text_spec


def queue_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("queue-worker")]


async def makes_a_job(database: str, folder: Path) -> None:
    """A new orchestrator of this process makes a job, and leaves no thread."""
    async with served(database, folder, {"test": (ScriptedBackend(), 1)}) as i2v, asyncio.timeout(60):
        job = await i2v.ended((await i2v.submit(text_spec())).name)
        assert job.state == job_pb2.Job.SUCCEEDED
    assert queue_threads() == []


async def test_a_cancelled_stop_ends_everything_first(database: str, tmp_path: Path) -> None:
    serving, leave = asyncio.Event(), asyncio.Event()

    async def serve() -> None:
        async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}):
            serving.set()
            await leave.wait()

    running = asyncio.create_task(serve())
    await serving.wait()
    leave.set()
    while not running.done():
        running.cancel()  # at any point of its stop
        await asyncio.sleep(0.01)
    assert running.cancelled()
    assert queue_threads() == []
    await makes_a_job(database, tmp_path)


async def test_a_failed_start_does_not_prevent_another(database: str, tmp_path: Path, store: PostgresStore) -> None:
    queue = Queue("make_video", "i2v-test", "1")
    other = PostgresWorkers(store.database, database, SystemClock(), queue, worker="worker-0", incarnation="other")
    await other.enter()
    with pytest.raises(NameTaken):
        async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, pace=Pace(name_timeout_s=0.5)):
            raise AssertionError("it served")
    await other.leave()
    await makes_a_job(database, tmp_path)


async def test_a_second_worker_in_a_process_is_refused_and_harms_nothing(database: str, tmp_path: Path) -> None:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as first:
        with pytest.raises(RuntimeError, match="room for one worker"):
            async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, role=Role.WORKER):
                raise AssertionError("it served")
        job = await first.ended((await first.submit(text_spec())).name)
        assert job.state == job_pb2.Job.SUCCEEDED


async def logged_or_begun(i2v: Served, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Waits until a waiting attempt has decided whether to run."""
    while (await i2v.job(name)).attempt == 1:
        if "another worker has the job" in caplog.text:
            return
        await asyncio.sleep(0.05)


async def test_a_waiting_attempt_does_not_restart_a_job_of_another_worker(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend = ScriptedBackend()
    backend.troubles = [ModelDown("not now", reason=PromptReason.LLM_DOWN, retry_after_s=2)]
    async with served(database, tmp_path, {"test": (backend, 1)}) as i2v, asyncio.timeout(60):
        job = await i2v.submit(text_spec())
        await i2v.until(job.name, "retrying")
        async with i2v.app.store.database.writing() as connection:  # because this worker has been silent
            await connection.execute(
                sa.text(
                    "UPDATE dbos.workflow_status SET executor_id = 'worker-1.x', owner_xid = 'x' WHERE name = :name"
                ),
                {"name": MAKE_VIDEO},
            )
        await logged_or_begun(i2v, job.name, caplog)
        assert (await i2v.job(job.name)).attempt == 1


async def test_entries_that_a_worker_takes_and_does_not_run_are_requeued(database: str, tmp_path: Path) -> None:
    """As when the database commits a dequeuing, and the connection breaks before the answer."""
    backend = ScriptedBackend()
    backend.gate.clear()

    def change(values: dict[str, object]) -> None:
        values["silent_s"] = 1

    async with served(database, tmp_path, {"test": (backend, 1)}, change=change) as i2v, asyncio.timeout(50):
        first = await i2v.submit(text_spec())
        await i2v.until(first.name, "fragment_ready")
        second = await i2v.submit(text_spec())
        async with i2v.app.store.database.writing() as connection:
            await connection.execute(
                sa.text(
                    "UPDATE dbos.workflow_status SET status = 'PENDING', owner_xid = 'lost', executor_id ="
                    " (SELECT executor_id FROM dbos.workflow_status WHERE status = 'PENDING')"
                    " WHERE status = 'ENQUEUED' AND name = :name"
                ),
                {"name": MAKE_VIDEO},
            )
        backend.gate.set()
        ended = [await i2v.ended(job.name) for job in (first, second)]
    assert [(job.state, job.attempt) for job in ended] == [(job_pb2.Job.SUCCEEDED, 1)] * 2


async def test_the_connections_of_dbos_detect_a_server_that_is_gone_without_notice(
    database: str, tmp_path: Path
) -> None:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}):
        with _get_dbos_instance()._sys_db.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            assert driver.info.get_parameters().keys() >= KEEPALIVE.keys()
