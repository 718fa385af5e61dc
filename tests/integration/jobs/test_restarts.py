"""SIGTERM of workers under load: no job fails, each is settled once, and another worker continues immediately."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from i2v.v1 import job_pb2

from tests.support.paid_work import VIDEO, life, spec
from tests.support.scripted_provider import Found, ScriptedProvider
from tests.support.served_orchestrator import Served, text_spec
from tests.support.worker_processes import api_alone, said, worker

STOPS, AT_ONCE, WORKERS, DEEP = 20, 2, 4, 16
PATIENT = {"I2V_SILENT_S": "600"}
"""No worker counts as silent during the test."""

RUNNING = sa.text("SELECT count(*) FROM dbos.workflow_status WHERE status = 'PENDING' AND executor_id LIKE :worker")
ENDS = sa.text(
    "SELECT j.state, count(*) AS jobs, max(e.ends) AS ends FROM jobs j"
    " JOIN (SELECT job_id, count(*) FILTER (WHERE terminal) AS ends FROM job_events GROUP BY job_id) e"
    " ON e.job_id = j.id GROUP BY j.state"
)


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with api_alone(database, tmp_path) as running:
        yield running


async def busy(api: Served, name: str) -> list[job_pb2.Job]:
    """Keeps the queue long until a worker runs a job. Returns the jobs that it submitted."""
    jobs: list[job_pb2.Job] = []
    while True:
        if await api.app.store.queues.length("fake") < DEEP:
            jobs += [await api.submit(text_spec(seed=n)) for n in range(DEEP)]
        async with api.app.store.database.reading() as connection:
            if (await connection.execute(RUNNING, {"worker": f"{name}%"})).scalar_one() > 0:
                return jobs
        await asyncio.sleep(0.05)


@pytest.mark.timeout(400)
async def test_twenty_stops_of_workers_with_a_long_queue_fail_no_job(
    api: Served, database: str, tmp_path: Path
) -> None:
    settings = PATIENT | {"I2V_FAKE_SLOTS": "8", "I2V_FAKE_PAUSE_S": "1"}
    names = [f"worker-{number}" for number in range(WORKERS)]
    jobs: list[job_pb2.Job] = []
    with ExitStack() as stack:
        workers = {name: stack.enter_context(worker(database, tmp_path, name, **settings)) for name in names}
        for stop in range(0, STOPS, AT_ONCE):
            stopped = [names[(stop + number) % WORKERS] for number in range(AT_ONCE)]
            for name in stopped:
                jobs += await busy(api, name)
            for name in stopped:
                workers[name].send_signal(signal.SIGTERM)
            for name in stopped:
                assert await asyncio.to_thread(workers[name].wait, 60) == 0
                workers[name] = stack.enter_context(worker(database, tmp_path, name, **settings))
        ended = [await api.ended(job.name) for job in jobs]
    assert Counter(job.state for job in ended) == {job_pb2.Job.SUCCEEDED: len(jobs)}, [
        job.error for job in ended if job.state != job_pb2.Job.SUCCEEDED
    ]
    async with api.app.store.database.reading() as connection:
        ends = (await connection.execute(ENDS)).all()
    assert [(row.jobs, row.ends) for row in ends] == [(len(jobs), 1)]
    usage = await api.usage()
    assert (usage.user.spent.amount_micros, usage.user.reserved.amount_micros) == (1000 * len(jobs), 0)


async def test_another_worker_starts_the_jobs_of_a_stopped_one_without_delay(
    api: Served, database: str, tmp_path: Path
) -> None:
    slow = PATIENT | {"I2V_FAKE_PAUSE_S": "60"}
    with worker(database, tmp_path, "worker-0", **slow) as first:
        jobs = [await api.submit(text_spec(seed=n)) for n in range(4)]
        for job in jobs:
            await api.until(job.name, "fragment_ready")
        later = await api.submit(text_spec(seed=9))
        with worker(database, tmp_path, "worker-1", **PATIENT | {"I2V_FAKE_SLOTS": "1"}):
            first.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(first.wait, 60) == 0
            async with asyncio.timeout(60):
                ended = [await api.ended(job.name) for job in jobs]
                last = await api.ended(later.name)
    assert {(job.state, job.attempt) for job in ended} == {(job_pb2.Job.SUCCEEDED, 2)}
    assert (last.state, last.attempt) == (job_pb2.Job.SUCCEEDED, 1)


async def test_a_task_that_is_handed_over_during_a_stop_is_attached_to_by_another_worker(
    database: str, tmp_path: Path
) -> None:
    vendor = ScriptedProvider(VIDEO)
    vendor.accepting.clear()
    vendor.working.clear()
    async with life(database, tmp_path, vendor) as (i2v, settings):
        job = await i2v.submit(spec())
        with worker(database, tmp_path, "worker-0", **settings | PATIENT) as first:
            await vendor.asked.wait()
            with worker(database, tmp_path, "worker-1", **settings | PATIENT):
                first.send_signal(signal.SIGTERM)
                asyncio.get_running_loop().call_later(0.5, vendor.accepting.set)
                assert await asyncio.to_thread(first.wait, 60) == 0
                vendor.working.set()
                async with asyncio.timeout(60):
                    ended = await i2v.ended(job.name)
    assert (ended.state, ended.charged.amount_micros) == (job_pb2.Job.SUCCEEDED, 5000)
    assert (len(vendor.submitted), vendor.attached) == (1, ["task-1"])


async def test_a_worker_killed_during_its_stop_has_requeued_its_stopped_jobs(database: str, tmp_path: Path) -> None:
    vendor = ScriptedProvider(VIDEO)
    vendor.working.clear()
    async with life(database, tmp_path, vendor) as (i2v, settings):
        with worker(database, tmp_path, "worker-0", **settings) as first:
            attached = await i2v.submit(spec())
            await i2v.until(attached.name, "accepted")
            vendor.accepting.clear()
            vendor.asked.clear()
            lost = await i2v.submit(spec())
            await vendor.asked.wait()
            with worker(database, tmp_path, "worker-1", **settings) as second:
                await said(second, tmp_path / "worker-1.log", '"message":"serving"')
                first.send_signal(signal.SIGTERM)
                while "task-1" not in vendor.attached:  # while the first still waits for the other's answer
                    assert first.poll() is None
                    await asyncio.sleep(0.05)
                first.kill()
                first.wait()
                vendor.accepting.set()
                vendor.working.set()
                await i2v.until(lost.name, "reconciling")
                vendor.finding, vendor.found_ref = Found.FOUND, "task-2"
                async with asyncio.timeout(60):
                    ended = [await i2v.ended(job.name) for job in (attached, lost)]
    assert [(job.state, job.charged.amount_micros) for job in ended] == [(job_pb2.Job.SUCCEEDED, 5000)] * 2
    assert len(vendor.submitted) == 2
