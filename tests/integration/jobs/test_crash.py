"""Kill -9 at any point of a worker's work: its jobs end elsewhere or later, each with one settlement."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa
from i2v.v1 import job_pb2

from services.orchestrator.store.database import driver_url
from tests.support.served_orchestrator import Served, text_spec
from tests.support.worker_processes import api_alone, worker

FRAGMENTS = 3


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with api_alone(database, tmp_path, fps=40) as running:  # 40 frames: three fragments of the fake backend
        yield running


async def fragment(i2v: Served, name: str, index: int) -> None:
    """Waits for a fragment of a job."""
    async for event in i2v.watch(name):
        if event.WhichOneof("event") == "fragment_ready" and event.fragment_ready.index == index:
            return
    raise AssertionError(f"{name} ended before fragment {index}")


def settlements(events: list[job_pb2.JobEvent]) -> int:
    return sum(event.WhichOneof("event") in ("succeeded", "failed", "cancelled") for event in events)


async def test_a_job_ends_with_one_settlement_wherever_its_worker_was_killed(
    api: Served, database: str, tmp_path: Path
) -> None:
    jobs = [await api.submit(text_spec(seed=n)) for n in range(4)]
    # Killed while it starts, after each fragment, and between; the last process may finish.
    for life in range(FRAGMENTS):
        with worker(database, tmp_path) as process:
            await fragment(api, jobs[life].name, life)
            process.send_signal(signal.SIGKILL)
            process.wait()
    with worker(database, tmp_path):
        for number, job in enumerate(jobs):
            ended = await api.ended(job.name)
            assert (ended.state, ended.charged.amount_micros) == (job_pb2.Job.SUCCEEDED, 1000), ended
            events = [event async for event in api.watch(job.name)]
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            assert settlements(events) == 1
            attempts = [event.started.attempt for event in events if event.WhichOneof("event") == "started"]
            assert attempts == list(range(1, len(attempts) + 1)) and len(attempts) > 1
            assert ended.spec.seed == number
    usage = await api.usage()
    assert (usage.user.spent.amount_micros, usage.user.reserved.amount_micros) == (4000, 0)


async def test_another_worker_takes_over_the_jobs_of_a_killed_one(api: Served, database: str, tmp_path: Path) -> None:
    job = await api.submit(text_spec())
    with worker(database, tmp_path, "worker-0", I2V_SILENT_S="2") as process:
        await fragment(api, job.name, 0)
        process.kill()
        process.wait()
    with worker(database, tmp_path, "worker-1", I2V_SILENT_S="2"):
        async with asyncio.timeout(90):
            ended = await api.ended(job.name)
    assert (ended.state, ended.attempt) == (job_pb2.Job.SUCCEEDED, 2)


async def test_a_worker_that_slept_through_its_own_funeral_writes_nothing(
    api: Served, database: str, tmp_path: Path
) -> None:
    job = await api.submit(text_spec())
    with worker(database, tmp_path, "worker-0", I2V_SILENT_S="2") as sleeper:
        await fragment(api, job.name, 0)
        sleeper.send_signal(signal.SIGSTOP)
        with worker(database, tmp_path, "worker-1", I2V_SILENT_S="2"):
            async with asyncio.timeout(90):
                ended = await api.ended(job.name)
            sleeper.send_signal(signal.SIGCONT)
            await asyncio.sleep(2)  # long enough for its two remaining fragments and its settlement
    assert await api.job(job.name) == ended
    assert settlements([event async for event in api.watch(job.name)]) == 1


async def test_a_stop_requested_of_a_killed_worker_is_kept(api: Served, database: str, tmp_path: Path) -> None:
    job = await api.submit(text_spec())
    with worker(database, tmp_path) as process:
        await fragment(api, job.name, 0)
        process.kill()
        process.wait()
    assert (await api.cancel(job.name)).state == job_pb2.Job.CANCELLING
    with worker(database, tmp_path):
        ended = await api.ended(job.name)
    assert ended.state == job_pb2.Job.CANCELLED


async def test_a_stopped_worker_leaves_its_jobs_to_the_next(api: Served, database: str, tmp_path: Path) -> None:
    job = await api.submit(text_spec())
    with worker(database, tmp_path) as process:
        await fragment(api, job.name, 0)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 90) == 0
    with worker(database, tmp_path):
        ended = await api.ended(job.name)
    assert (ended.state, ended.attempt) == (job_pb2.Job.SUCCEEDED, 2)


async def test_two_workers_of_one_name_do_not_take_each_others_jobs(api: Served, database: str, tmp_path: Path) -> None:
    job = await api.submit(text_spec())
    with worker(database, tmp_path) as first:
        await fragment(api, job.name, 0)
        with worker(database, tmp_path) as second:
            ended = await api.ended(job.name)
            assert (ended.state, ended.attempt, first.poll()) == (job_pb2.Job.SUCCEEDED, 1, None)
            assert await asyncio.to_thread(second.wait, 90) == 1, "the second stopped"
    assert "another living worker" in (tmp_path / "worker-0.log").read_text()


async def test_the_reaper_skips_a_job_that_it_cannot_read(api: Served, database: str, tmp_path: Path) -> None:
    spec = text_spec()
    spec.timeout.seconds = 1
    jobs = [await api.submit(spec) for _ in range(3)]
    async with api.app.store.database.writing() as connection:
        await connection.execute(
            sa.text("UPDATE jobs SET spec = '{}' WHERE id = :id"), {"id": jobs[0].name.removeprefix("jobs/")}
        )
    elsewhere = {"I2V_FAKE_SLOTS": "0", "I2V_TRITON": "127.0.0.1:9", "I2V_TRITON_SLOTS": "1", "I2V_SILENT_S": "3"}
    with worker(database, tmp_path, **elsewhere):
        async with asyncio.timeout(90):
            ended = [await api.ended(job.name) for job in jobs[1:]]
    assert {job.error.reason for job in ended} == {"DEADLINE_EXCEEDED"}


async def test_a_temporary_refusal_of_the_database_fails_no_job(api: Served, database: str, tmp_path: Path) -> None:
    job = await api.submit(text_spec())
    name = sa.make_url(database).database
    admin = sa.create_engine(driver_url(database), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)

    def read_only(value: str) -> None:
        """As after a failover: writes are refused, and old connections are closed."""
        with admin.connect() as connection:
            connection.execute(sa.text("SET default_transaction_read_only = off"))
            connection.execute(sa.text(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}"))
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )

    with worker(database, tmp_path):
        await fragment(api, job.name, 0)
        await asyncio.to_thread(read_only, "on")
        await asyncio.sleep(3)
        await asyncio.to_thread(read_only, "off")
        ended = None
        async with asyncio.timeout(60):
            while ended is None:
                try:
                    ended = await api.ended(job.name)
                except grpc.aio.AioRpcError as error:
                    assert error.code() is grpc.StatusCode.UNAVAILABLE
                    await asyncio.sleep(0.5)
    assert ended.state == job_pb2.Job.SUCCEEDED


async def test_a_worker_takes_only_jobs_that_it_can_make(api: Served, database: str, tmp_path: Path) -> None:
    elsewhere = {"I2V_FAKE_SLOTS": "0", "I2V_TRITON": "127.0.0.1:9", "I2V_TRITON_SLOTS": "1"}
    with worker(database, tmp_path, "worker-1"), worker(database, tmp_path, "worker-0", **elsewhere):
        jobs = [await api.submit(text_spec()) for _ in range(6)]
        ended = [await api.ended(job.name) for job in jobs]
    assert {(job.state, job.attempt) for job in ended} == {(job_pb2.Job.SUCCEEDED, 1)}


async def test_a_job_that_no_worker_starts_fails_at_its_deadline(api: Served, database: str, tmp_path: Path) -> None:
    spec = text_spec()
    spec.timeout.seconds = 1
    job = await api.submit(spec)
    with worker(database, tmp_path, I2V_FAKE_SLOTS="0", I2V_TRITON="127.0.0.1:9", I2V_TRITON_SLOTS="1"):
        async with asyncio.timeout(90):
            ended = await api.ended(job.name)
    assert (ended.state, ended.error.reason) == (job_pb2.Job.FAILED, "DEADLINE_EXCEEDED")
    assert (ended.error.retryable, ended.charged.amount_micros) == (True, 0)


def scratch_folders(data: Path) -> set[Path]:
    return set((data / "spool").glob("process-*"))


async def test_files_of_a_killed_worker_are_removed_and_those_of_running_ones_kept(
    api: Served, database: str, tmp_path: Path
) -> None:
    job = await api.submit(text_spec())
    before = scratch_folders(tmp_path)
    assert len(before) == 1, "the API's own"
    with worker(database, tmp_path, "worker-0", I2V_SILENT_S="2", I2V_FAKE_PAUSE_S="60") as process:
        await fragment(api, job.name, 0)
        (left,) = scratch_folders(tmp_path) - before
        assert list(left.glob("attempt-*"))
        process.kill()
        process.wait()
    assert left.exists()
    with worker(database, tmp_path, "worker-1", I2V_SILENT_S="2"):
        async with asyncio.timeout(60):
            await api.ended(job.name)
            while left.exists():  # noqa: ASYNC110  the start of another process sweeps it
                await asyncio.sleep(0.05)
        assert len(scratch_folders(tmp_path)) == 2
        assert before < scratch_folders(tmp_path)
