"""Jobs on several Tritons behind one name of a backend, and workers that share them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from i2v.v1 import job_pb2

from services.orchestrator.role import Role
from tests.support.scripted_triton import ScriptedTriton
from tests.support.served_orchestrator import GOLDEN, served, text_spec
from tests.support.triton_pools import Site, a_site, until
from tests.support.worker_processes import said, worker

CARD = """
backend = "triton"
profile = "tiny"
operations = ["text-to-video"]
sizes = ["32x32"]
fps = 16
extra_frames = 1
"""
PENDING = sa.text("SELECT count(*), count(DISTINCT executor_id) FROM dbos.workflow_status WHERE status = 'PENDING'")


@pytest.fixture
async def site(database: str, tmp_path: Path) -> AsyncIterator[Site]:
    text = (GOLDEN / "models.toml").read_text()
    begin, end = text.index("backend ="), text.index("durations_s")
    (tmp_path / "models.toml").write_text(text[:begin] + CARD.strip() + "\n" + text[end:].replace("fps = 8\n", ""))
    async with a_site(database, tmp_path, ScriptedTriton(slots="1"), ScriptedTriton(slots="1")) as made:
        yield made


def tritons(site: Site) -> dict[str, str]:
    return {"triton": ",".join(site.addresses), "triton_slots": "2"}


def change(site: Site) -> Any:
    return lambda values: values.update(tritons(site), models_file=site.folder / "models.toml")


async def test_a_job_whose_triton_is_killed_in_mid_clip_goes_on_at_the_other(database: str, site: Site) -> None:
    for triton in site.tritons:
        triton.silent, triton.fail_after = {"transformer"}, 2
    async with served(database, site.folder, None, change=change(site)) as i2v:
        job = await i2v.submit(text_spec(seconds=2))
        await i2v.until(job.name, "fragment_ready")
        [first] = [number for number, triton in enumerate(site.tritons) if triton.videos]
        site.tritons[1 - first].silent.clear()
        await site.kill(first)
        ended = await i2v.ended(job.name)
        events = [event async for event in i2v.watch(job.name)]
    assert (ended.state, ended.attempt) == (job_pb2.Job.SUCCEEDED, 2)
    [retrying] = [event.retrying for event in events if event.HasField("retrying")]
    assert retrying.error.reason == "ENGINE_UNREACHABLE"
    assert [event.continued.block for event in events if event.HasField("continued")] == [2]
    assert len(site.tritons[1 - first].of("transformer")) == 1


async def test_two_workers_take_as_many_jobs_as_their_tritons_have_slots(database: str, site: Site) -> None:
    for triton in site.tritons:
        triton.gate.clear()
    settings = {f"I2V_{name.upper()}": value for name, value in tritons(site).items()}
    async with served(database, site.folder, None, role=Role.API, change=change(site)) as i2v:
        jobs = [await i2v.submit(text_spec()) for _ in range(5)]
        with (
            worker(database, site.folder, "worker-0", I2V_FAKE_SLOTS="0", **settings) as first,
            worker(database, site.folder, "worker-1", I2V_FAKE_SLOTS="0", **settings) as second,
        ):
            for process, name in ((first, "worker-0"), (second, "worker-1")):
                await said(process, site.folder / f"{name}.log", '"message":"ready"')
            await until(lambda: [triton.videos for triton in site.tritons] == [1, 1])
            ending = asyncio.gather(*(i2v.ended(job.name) for job in jobs))
            most = 2
            while not ending.done():
                async with i2v.app.store.database.reading() as connection:
                    [[pending, _]] = (await connection.execute(PENDING)).all()
                most = max(most, pending)
                for triton in site.tritons:
                    triton.gate.set()
                await asyncio.sleep(0.02)
            assert {job.state for job in await ending} == {job_pb2.Job.SUCCEEDED}
            assert (await i2v.app.store.fleet.look()).slots == {"triton": 2}
    assert [triton.videos_most for triton in site.tritons] == [1, 1]
    assert most <= 4, "two run, and two may just end"
