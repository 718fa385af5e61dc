"""Version skew of one: processes of the release before this one work with ours and with the schema of this release."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from i2v.v1 import asset_pb2, asset_pb2_grpc, job_pb2

from i2v_client import AsyncClient, job_spec
from services.client.connection import RETRY_FOR_WITH_SEVERAL_S
from services.orchestrator.store.database import driver_url
from tests.support.paid_work import VIDEO, life, spec
from tests.support.pictures import a_picture
from tests.support.previous_release import ROOT
from tests.support.scripted_provider import ScriptedProvider
from tests.support.worker_processes import worker
from tools.evictions.outcome import outcome
from tools.evictions.replicas import Replicas

PICTURE = a_picture()
MODEL = "test-model"
SETTINGS = {"I2V_FAKE_PAUSE_S": "0.1", "I2V_MIGRATE": "false"}


def emptied(database: str) -> None:
    engine = sa.create_engine(driver_url(database), poolclass=sa.NullPool)
    with engine.begin() as connection:
        for schema in ("public", "dbos"):
            connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))


COLUMNS = sa.text("""
SELECT table_name || '.' || column_name AS name, data_type AS type, is_nullable = 'YES' AS nullable,
    column_default IS NOT NULL OR is_generated = 'ALWAYS' OR is_identity = 'YES' AS filled
FROM information_schema.columns WHERE table_schema = 'public'
""")


def columns(database: str) -> dict[str, sa.Row[Any]]:
    engine = sa.create_engine(driver_url(database), poolclass=sa.NullPool)
    with engine.connect() as connection:
        return {row.name: row for row in connection.execute(COLUMNS)}


def contracted(before: dict[str, sa.Row[Any]], after: dict[str, sa.Row[Any]]) -> list[str]:
    """What the statements of the release before cannot work with: it must wait for the next release."""
    tables = {name.partition(".")[0] for name in before}
    gone = [f"{name} is gone" for name in before if name not in after]
    changed = [f"{name} is a {after[name].type}" for name in before.keys() & after if after[name][1] != before[name][1]]
    stricter = [
        f"{name} must be written by every INSERT"
        for name, row in after.items()
        if name.partition(".")[0] in tables
        and not (row.nullable or row.filled)
        and (name not in before or before[name].nullable or before[name].filled)
    ]
    return sorted([*gone, *changed, *stricter])


class Caller:
    """What a caller of the service does, and what it expects."""

    def __init__(self, client: AsyncClient, folder: Path) -> None:
        self.client = client
        self.jobs: list[job_pb2.Job] = []
        self._folder = folder

    async def submit(self, image: str = "", seconds: int = 1) -> job_pb2.Job:
        spec = job_spec("A wave.", image=image, model=MODEL, duration_s=seconds)
        self.jobs.append(await self.client.submit(spec))
        return self.jobs[-1]

    async def watched(self, job: job_pb2.Job) -> job_pb2.Job:
        """Waits for the end of a job that must succeed, and reads its video."""
        numbers = [event.sequence async for event in self.client.watch(job.name)]
        job = await self.client.get(job.name)
        assert job.state == job_pb2.Job.SUCCEEDED, job
        assert numbers == list(range(1, job.last_sequence + 1))
        assert await self.client.download(job.output.asset, self._folder / "out.mp4") == job.output.size_bytes
        return job

    @asynccontextmanager
    async def long(self) -> AsyncIterator[None]:
        """A job that has begun before the block, and ends after it."""
        job = await self.submit(seconds=2)
        async for event in self.client.watch(job.name):
            if event.WhichOneof("event") == "fragment_ready":
                break
        yield
        assert (await self.watched(job)).attempt == 2

    async def use(self) -> None:
        """Uploads a picture and reads it, makes a video of it, cancels another job, and looks at lists and money."""
        picture = await self.client.upload(PICTURE)
        assert await self.client.download(picture.name, self._folder / "picture.png") == picture.size_bytes
        made = await self.watched(await self.submit(picture.name))
        assert await self.client.download(made.output.asset, self._folder / "poster.jpg", "poster") > 0
        cancelled = await self.client.cancel((await self.submit(seconds=2)).name)
        async for _ in self.client.watch(cancelled.name):
            pass
        assert (await self.client.get(cancelled.name)).state == job_pb2.Job.CANCELLED
        listed = {job.name async for job in self.client.jobs(page_size=200)}
        assert listed == {job.name for job in self.jobs}
        library = asset_pb2_grpc.AssetServiceStub(self.client.channel())
        assets = (await self.client.call(library.ListAssets, asset_pb2.ListAssetsRequest())).assets
        assert {picture.name, made.output.asset} <= {asset.name for asset in assets}
        assert (await self.client.usage()).user.spent.amount_micros > 0
        assert [model.name for model in await self.client.models()] == [f"models/{MODEL}"]


async def test_a_rolling_upgrade_and_a_roll_back_lose_nothing(
    database: str, tmp_path: Path, previous_release: Path
) -> None:
    emptied(database)
    (tmp_path / "folder").mkdir()
    async with AsyncExitStack() as stack:
        replicas = Replicas(database, tmp_path, workers=1, fps=32, settings=SETTINGS)
        await stack.enter_async_context(replicas)
        await replicas.migrate(previous_release)
        async with asyncio.TaskGroup() as starting:
            for name in ("api-0", "worker-0"):
                starting.create_task(replicas.start(name, previous_release))
        i2v = await stack.enter_async_context(
            AsyncClient(replicas.servers, replicas.key, retry_for_s=RETRY_FOR_WITH_SEVERAL_S)
        )
        caller = Caller(i2v, tmp_path / "folder")

        before = columns(database)
        await replicas.migrate()  # while theirs run
        assert contracted(before, columns(database)) == []
        await replicas.start("api-1")
        assert await replicas.stop("api-0") == 0
        await caller.use()  # our API, their worker

        async with caller.long():
            assert await replicas.stop("worker-0") == 0
            await replicas.start("worker-0")
        await replicas.migrate(previous_release)  # leaves our schema as it is
        await replicas.start("api-0", previous_release)
        assert await replicas.stop("api-1") == 0
        await caller.use()  # their API, our worker

        async with caller.long():
            assert await replicas.stop("worker-0") == 0
            await replicas.start("worker-0", previous_release)
        await caller.use()  # all theirs, with our schema and our rows
    found = await outcome(database, [job.name for job in caller.jobs])
    assert found.problems == []


@pytest.mark.parametrize("first_is_ours", [False, True], ids=["upgraded", "rolled back"])
async def test_a_paid_task_goes_over_to_a_worker_of_the_other_release_and_is_paid_once(
    database: str, tmp_path: Path, previous_release: Path, first_is_ours: bool
) -> None:
    vendor = ScriptedProvider(VIDEO)
    vendor.working.clear()
    first, second = (ROOT, previous_release) if first_is_ours else (previous_release, ROOT)
    async with life(database, tmp_path, vendor) as (i2v, settings):
        job = await i2v.submit(spec())
        with worker(database, tmp_path, root=first, **settings) as stopped:
            await i2v.until(job.name, "accepted")
            stopped.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(stopped.wait, 60) == 0
        with worker(database, tmp_path, root=second, **settings):
            vendor.working.set()
            ended = await i2v.ended(job.name)
    assert (ended.state, ended.charged.amount_micros) == (job_pb2.Job.SUCCEEDED, 5000)
    assert (len(vendor.submitted), vendor.attached) == (1, ["task-1"])
    assert (await outcome(database, [job.name])).problems == []
