"""A worker's claim on its name survives a broken connection; a second worker of that name does not hide a dead one."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from i2v.v1 import job_pb2

from services.orchestrator.store.database import plain_url
from tests.support.served_orchestrator import Served, text_spec
from tests.support.worker_processes import api_alone, worker

PATIENT = {"I2V_SILENT_S": "600", "I2V_FAKE_PAUSE_S": "60"}
LOCK = "hashtext('i2v-worker'), hashtext('worker-0')"
CLAIMS = """
SELECT pid, granted FROM pg_locks WHERE locktype = 'advisory' AND classid = hashtext('i2v-worker')::oid
    AND objid = hashtext('worker-0')::oid
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with api_alone(database, tmp_path) as running:
        yield running


@pytest.fixture
async def session(database: str) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(plain_url(database), autocommit=True) as connection:
        yield connection


async def claimant(session: psycopg.AsyncConnection, *, granted: bool = True, but: int = 0) -> int:
    """Waits until a connection other than `but` has the name, or waits for it. Returns its server process."""
    while True:
        for pid, has in await (await session.execute(CLAIMS)).fetchall():
            if has is granted and pid != but:
                return int(pid)
        await asyncio.sleep(0.05)


async def test_a_claim_with_a_broken_connection_is_taken_again(
    api: Served, database: str, tmp_path: Path, session: psycopg.AsyncConnection
) -> None:
    with worker(database, tmp_path, **PATIENT) as first:
        job = await api.submit(text_spec())
        await api.until(job.name, "fragment_ready")
        before = await claimant(session)
        await session.execute("SELECT pg_terminate_backend(%s)", [before])
        async with asyncio.timeout(30):
            await claimant(session, but=before)
        with worker(database, tmp_path, **PATIENT) as second:
            assert await asyncio.to_thread(second.wait, 60) == 1
        now = await api.job(job.name)
        assert (now.state, now.attempt, first.poll()) == (job_pb2.Job.RUNNING, 1, None)


async def test_a_worker_whose_name_another_has_taken_leaves_its_jobs_to_the_others(
    api: Served, database: str, tmp_path: Path, session: psycopg.AsyncConnection
) -> None:
    with worker(database, tmp_path, **PATIENT) as first:
        job = await api.submit(text_spec())
        await api.until(job.name, "fragment_ready")
        async with await psycopg.AsyncConnection.connect(plain_url(database), autocommit=True) as second:
            taking = asyncio.create_task(second.execute(f"SELECT pg_advisory_lock({LOCK})"))
            before = await claimant(session)
            await claimant(session, granted=False)
            await session.execute("SELECT pg_terminate_backend(%s)", [before])
            await taking
            assert await asyncio.to_thread(first.wait, 60) == 1
        with worker(database, tmp_path, "worker-1", **PATIENT | {"I2V_FAKE_PAUSE_S": "0"}):
            async with asyncio.timeout(60):
                ended = await api.ended(job.name)
    assert (ended.state, ended.attempt) == (job_pb2.Job.SUCCEEDED, 2)
    log = (tmp_path / "worker-0.log").read_text()
    assert "another worker has taken this worker's name" in log
    assert log.endswith("i2v: another living worker is called 'worker-0'; give each its own I2V_WORKER_NAME\n")


async def test_a_killed_worker_is_taken_over_although_another_has_its_name(
    api: Served, database: str, tmp_path: Path, session: psycopg.AsyncConnection
) -> None:
    async def beat() -> None:
        """As a second worker of a version without incarnations does: its id is its name."""
        while True:
            await session.execute(
                "INSERT INTO executors (id, beat_time) VALUES ('worker-0', now())"
                " ON CONFLICT (id) DO UPDATE SET beat_time = excluded.beat_time"
            )
            await asyncio.sleep(0.2)

    quick = {"I2V_SILENT_S": "2"}
    with worker(database, tmp_path, **quick | {"I2V_FAKE_PAUSE_S": "60"}) as first:
        job = await api.submit(text_spec())
        await api.until(job.name, "fragment_ready")
        beating = asyncio.create_task(beat())
        first.send_signal(signal.SIGKILL)
        first.wait()
        with worker(database, tmp_path, "worker-1", **quick):
            async with asyncio.timeout(40):
                ended = await api.ended(job.name)
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
    assert (ended.state, ended.attempt) == (job_pb2.Job.SUCCEEDED, 2)
