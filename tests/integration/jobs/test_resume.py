"""An attempt goes on from what an earlier one left: nothing is made, announced or charged twice, and nothing stays."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from i2v.v1 import job_pb2

from services.errors import Unavailable
from services.orchestrator.domain.event import JobError
from services.orchestrator.ports.backend import AttemptFailed
from services.orchestrator.role import Role
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, served, text_spec

State = job_pb2.Job


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


Serve = Callable[[], Any]


@pytest.fixture
def serve(database: str, tmp_path: Path, backend: ScriptedBackend) -> Serve:
    """One life of the service on the same database and blobs; the books are right at its end."""

    @asynccontextmanager
    async def life() -> AsyncIterator[Served]:
        async with served(database, tmp_path, {"test": (backend, 2)}) as running:
            yield running
            assert await running.app.store.counter_audits.full(limit=9) == []

    return life


def left_behind(data: Path) -> list[str]:
    folder = data / "blobs" / "checkpoints"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


async def nothing_is_left(data: Path) -> None:
    """The end is announced before what is left is removed."""
    async with asyncio.timeout(60):
        while left_behind(data):  # noqa: ASYNC110  A folder sends no event.
            await asyncio.sleep(0.01)


def of_kind(events: list[job_pb2.JobEvent], kind: str) -> list[Any]:
    return [getattr(event, kind) for event in events if event.WhichOneof("event") == kind]


async def interrupted(serve: Serve, backend: ScriptedBackend, **fields: Any) -> str:
    """A job of two seconds, four fragments, whose worker was stopped after the first."""
    backend.gate.clear()
    async with serve() as first:
        job = await first.submit(text_spec(seconds=2, **fields))
        await first.until(job.name, "fragment_ready")
    backend.gate.set()
    return job.name


async def test_a_second_attempt_makes_only_the_rest_and_tells_only_of_that(
    serve: Serve, backend: ScriptedBackend, tmp_path: Path
) -> None:
    name = await interrupted(serve, backend, seed=7)
    assert len(left_behind(tmp_path)) == 1
    async with serve() as i2v:
        job = await i2v.ended(name)
        events = [event async for event in i2v.watch(name)]
        undisturbed = await i2v.ended((await i2v.submit(text_spec(seconds=2, seed=7))).name)
        await nothing_is_left(tmp_path)
        assert await i2v.unsigned(job) == await i2v.unsigned(undisturbed)
    assert backend.made[:4] == [0, 1, 2, 3]
    assert (job.state, job.attempt) == (State.SUCCEEDED, 2)
    assert [(each.block, each.progress) for each in of_kind(events, "continued")] == [(1, 0.25)]
    assert [each.index for each in of_kind(events, "fragment_ready")] == [0, 1, 2, 3]
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds[kinds.index("continued") :].count("progressed") == 0, "what was there already is no progress"


async def test_the_progress_begins_where_the_attempt_continues(serve: Serve, backend: ScriptedBackend) -> None:
    name = await interrupted(serve, backend)
    backend.gate.clear()
    async with serve() as i2v:
        await i2v.until(name, "continued")
        assert (await i2v.job(name)).progress >= 0.25
        backend.gate.set()
        assert (await i2v.ended(name)).state == State.SUCCEEDED
        assert i2v.registry.get_sample_value("i2v_jobs_continued_total", {"model": "test-model"}) == 1


async def test_fragments_that_come_out_otherwise_are_told_again(serve: Serve, backend: ScriptedBackend) -> None:
    name = await interrupted(serve, backend)
    whole = backend.frames
    backend.frames = lambda count, size, seed: whole(count, size, seed + 1)
    async with serve() as i2v:
        assert (await i2v.ended(name)).state == State.SUCCEEDED
        fragments = of_kind([event async for event in i2v.watch(name)], "fragment_ready")
    assert [fragment.index for fragment in fragments] == [0, 0, 1, 2, 3]
    assert fragments[0].asset != fragments[1].asset


async def test_what_is_made_again_without_a_checkpoint_is_not_told_again_but_moves_the_bar(
    serve: Serve, backend: ScriptedBackend, tmp_path: Path
) -> None:
    name = await interrupted(serve, backend)
    for path in (tmp_path / "blobs" / "checkpoints").iterdir():
        path.unlink()
    async with serve() as i2v:
        assert (await i2v.ended(name)).state == State.SUCCEEDED
        events = [event async for event in i2v.watch(name)]
    assert of_kind(events, "continued") == []
    assert [fragment.index for fragment in of_kind(events, "fragment_ready")] == [0, 1, 2, 3]
    assert [stage.progress for stage in of_kind(events, "progressed")] == [0.0, 0.0, 0.25]


async def test_a_stop_asked_of_a_lost_worker_is_charged_for_what_it_had_told(
    serve: Serve, backend: ScriptedBackend, database: str, tmp_path: Path
) -> None:
    name = await interrupted(serve, backend)
    async with served(database, tmp_path, {}, role=Role.API) as api:
        assert (await api.cancel(name)).state == State.CANCELLING
    async with serve() as i2v:
        job = await i2v.ended(name)
        await nothing_is_left(tmp_path)
    assert (job.state, job.quote.amount_micros, job.charged.amount_micros) == (State.CANCELLED, 2000, 500)
    assert len(backend.attempts) == 1, "nothing was begun for it"


async def test_a_stopped_second_attempt_is_charged_for_each_frame_once(
    serve: Serve, backend: ScriptedBackend, tmp_path: Path
) -> None:
    name = await interrupted(serve, backend)
    backend.gate.clear()
    async with serve() as i2v:
        await i2v.until(name, "continued")
        await i2v.cancel(name)
        job = await i2v.ended(name)
        await nothing_is_left(tmp_path)
    assert (job.state, job.charged.amount_micros) == (State.CANCELLED, 500)


async def test_a_job_that_fails_leaves_no_checkpoint(serve: Serve, backend: ScriptedBackend, tmp_path: Path) -> None:
    name = await interrupted(serve, backend)
    backend.troubles = [AttemptFailed(JobError("ENGINE_FAILED", "no", retryable=False))]
    async with serve() as i2v:
        assert (await i2v.ended(name)).state == State.FAILED
        await nothing_is_left(tmp_path)


async def test_a_job_stopped_while_it_waits_for_another_attempt_leaves_no_checkpoint(
    serve: Serve, backend: ScriptedBackend, tmp_path: Path
) -> None:
    name = await interrupted(serve, backend)
    backend.troubles = [Unavailable("away", reason="ENGINE_UNREACHABLE")] * 9
    async with serve() as i2v:
        await i2v.until(name, "retrying")
        await i2v.cancel(name)
        assert (await i2v.ended(name)).state == State.CANCELLED
        await nothing_is_left(tmp_path)


async def test_a_job_ended_by_the_reaper_leaves_no_checkpoint(
    serve: Serve, backend: ScriptedBackend, database: str, tmp_path: Path
) -> None:
    name = await interrupted(serve, backend)
    async with served(database, tmp_path, {}) as other:  # a worker that cannot make it
        async with other.app.store.database.writing() as connection:
            await connection.execute(sa.text("UPDATE jobs SET expire_time = now() - interval '1 hour'"))
        job = await other.ended(name)
        await nothing_is_left(tmp_path)
    assert (job.state, job.error.reason) == (State.FAILED, "DEADLINE_EXCEEDED")


async def test_a_store_that_takes_no_checkpoint_costs_no_job(
    serve: Serve, backend: ScriptedBackend, tmp_path: Path
) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "checkpoints").write_bytes(b"in the way")
    async with serve() as i2v:
        job = await i2v.ended((await i2v.submit(text_spec())).name)
        assert (job.state, job.attempt) == (State.SUCCEEDED, 1)
        assert i2v.registry.get_sample_value("i2v_checkpoint_failures_total", {"model": "test-model"}) == 2
