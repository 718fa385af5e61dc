"""An attempt that dies between the storing of its signed video and the end of the job leaves no second video behind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.orchestrator.attempt.result import JobEnded
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.domain.asset import Asset
from services.orchestrator.ports.jobs import Decide, Recorded
from services.orchestrator.store.jobs import PostgresJobs
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.schema import manifests
from tests.support.attempt_runners import an_attempt_runner
from tests.support.builders import FakeClock, ScriptedBackend, a_job, admit, some_frames
from tests.support.killed_steps import Killed


class DyingJobs:
    """Jobs of a worker that dies when the end of a job is to be recorded."""

    def __init__(self, jobs: PostgresJobs) -> None:
        self._jobs = jobs

    async def record(self, job_id: str, decide: Decide, *, assets: Sequence[Asset] = (), **more: Any) -> Recorded:
        if more.get("manifest") is not None:
            raise Killed
        return await self._jobs.record(job_id, decide, assets=assets, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)


def videos(folder: Path) -> set[str]:
    """Digests of the stored assets."""
    return {path.name for path in (folder / "blobs").rglob("assets/*") if path.is_file()}


@pytest.mark.parametrize("same", [True, False])
async def test_the_next_attempt_leaves_one_video(
    store: PostgresStore, clock: FakeClock, tmp_path: Path, same: bool
) -> None:
    blobs, backend = LocalBlobs(tmp_path / "blobs"), ScriptedBackend()
    job = await admit(store, a_job())
    dying: Any = DyingJobs(store.jobs)
    with pytest.raises(Killed):
        await an_attempt_runner(store, clock, blobs, backend, tmp_path, jobs=dying).run(job.id)
    before = videos(tmp_path)
    if not same:
        backend.frames = lambda total, size, seed: some_frames(total, size, seed + 1)

    assert await an_attempt_runner(store, clock, blobs, backend, tmp_path).run(job.id) == JobEnded()
    ended = await store.jobs.get(job.id)
    assert ended.output is not None
    async with store.database.reading() as connection:
        recorded = set((await connection.execute(sa.text("SELECT sha256 FROM assets"))).scalars())
        described = (await connection.execute(sa.select(manifests.c.sha256))).scalars().all()
    assert (ended.output.asset in before, list(described)) == (same, [ended.output.asset])
    assert videos(tmp_path) == recorded
    assert list((tmp_path / "blobs").rglob("checkpoints/*")) == []
    await blobs.close()


async def test_a_job_whose_end_is_no_video_keeps_no_signed_file(
    store: PostgresStore, clock: FakeClock, tmp_path: Path
) -> None:
    blobs, backend = LocalBlobs(tmp_path / "blobs"), ScriptedBackend()
    job = await admit(store, a_job())
    dying: Any = DyingJobs(store.jobs)
    with pytest.raises(Killed):
        await an_attempt_runner(store, clock, blobs, backend, tmp_path, jobs=dying).run(job.id)
    clock.advance(3600)
    runner = an_attempt_runner(store, clock, blobs, backend, tmp_path)
    assert await runner.run(job.id) == JobEnded()
    ended = await store.jobs.get(job.id)
    assert ended.output is None
    async with store.database.reading() as connection:
        recorded = set((await connection.execute(sa.text("SELECT sha256 FROM assets"))).scalars())
    assert videos(tmp_path) == recorded
    await blobs.close()
