"""A worker in a process of its own hears of drains, at its start and later."""

import asyncio
from pathlib import Path

import pytest
from i2v.v1 import job_pb2

from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.domain.audit import Act
from tests.support.served_orchestrator import text_spec
from tests.support.worker_processes import api_alone, said, worker

WITHIN_S = 60.0
SEVERAL_POLLS_S = 2.0


async def test_a_worker_that_starts_while_drained_takes_jobs_when_the_drain_ends(database: str, tmp_path: Path) -> None:
    act = Act(SystemClock().now(), "operators/eve", "DrainBackend", "backends/fake")
    log = tmp_path / "worker-0.log"
    async with api_alone(database, tmp_path) as i2v:
        drains, job = i2v.app.store.backend_drains, await i2v.submit(text_spec())
        await drains.drain("fake", act)
        with worker(database, tmp_path) as process:
            await said(process, log, "ready")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SEVERAL_POLLS_S):
                    await i2v.until(job.name, "started")
            await drains.undrain("fake", act)
            assert (await i2v.ended(job.name)).state == job_pb2.Job.SUCCEEDED
            await drains.drain("fake", act)
            async with asyncio.timeout(WITHIN_S):
                while True:
                    if log.read_text().count("a backend is drained") == 2:
                        break
                    await asyncio.sleep(0.05)
