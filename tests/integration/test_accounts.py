"""What a vendor's account allows is what its queue lets through; who waits sees the place."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from i2v.v1 import job_pb2

from services.orchestrator.backends.provider import ProviderBackend
from services.orchestrator.ports.backend import Limits
from tests.scripted_provider import ScriptedProvider, a_video, providing
from tests.served import GOLDEN, Served, caller, served, text_spec


async def place(i2v: Served, name: str, wanted: int) -> None:
    """Waits until a watcher is told of this place."""
    request = job_pb2.WatchJobRequest(name=name)
    async for answer in i2v.jobs.WatchJob(request, metadata=caller()):
        if answer.HasField("heartbeat") and answer.heartbeat.queue_place == wanted:
            return
    raise AssertionError(f"{name} never had the place {wanted}")


@pytest.mark.parametrize("limits", [Limits(3, 3), Limits(10, 10, 3)])
async def test_the_fourth_job_waits_and_its_watcher_sees_its_place(
    database: str, tmp_path: Path, limits: Limits
) -> None:
    vendor = ScriptedProvider(a_video())
    vendor.working.clear()

    def change(values: dict[str, Any]) -> None:
        values["models_file"] = GOLDEN / "remote.toml"

    async with providing(vendor) as address:
        backend = ProviderBackend(address)
        async with served(database, tmp_path, {"vendor": (backend, limits)}, change=change) as i2v:
            spec = text_spec(seconds=5, model="remote-text")
            jobs = []
            for _ in range(3):
                jobs.append(await i2v.submit(spec))
                await i2v.until(jobs[-1].name, "accepted")
            jobs += [await i2v.submit(spec) for _ in range(2)]
            async with asyncio.timeout(60):
                await asyncio.gather(place(i2v, jobs[3].name, 1), place(i2v, jobs[4].name, 2))
            assert (await i2v.job(jobs[4].name)).queue_place == 2
            assert len(vendor.submitted) == 3
            vendor.working.set()
            await i2v.ended(jobs[0].name)
            if limits.a_minute is None:
                ended = [await i2v.ended(job.name) for job in jobs[3:]]
                assert {job.state for job in ended} == {job_pb2.Job.SUCCEEDED}
            else:
                await i2v.cancel(jobs[3].name)
                await i2v.cancel(jobs[4].name)
                assert len(vendor.submitted) == 3
        await backend.close()
