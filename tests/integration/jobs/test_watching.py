"""Many watchers of the same jobs: they share what is read, and each sees every event once, in order."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from i2v.v1 import job_pb2

from services.orchestrator.role import Role
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, caller, served, text_spec

WATCHERS = 20
SEES = ["admitted", "started", "progressed", "fragment_ready", "fragment_ready", "succeeded"]


@contextmanager
def statements(of: str) -> Iterator[list[str]]:
    """Collects the SQL statements of this process that contain these words."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if of in statement:
            sent.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


async def watched(i2v: Served, name: str, joined: asyncio.Semaphore, after: int = 0) -> list[job_pb2.JobEvent]:
    """Watches to the end; releases `joined` at the first fragment."""
    seen = []
    async for event in i2v.watch(name, after):
        seen.append(event)
        if event.WhichOneof("event") == "fragment_ready" and event.fragment_ready.index == 0:
            joined.release()
    return seen


async def test_watchers_of_a_job_share_one_reading_of_its_events(i2v: Served, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    job, joined = await i2v.submit(text_spec()), asyncio.Semaphore(0)
    with statements("FROM job_events") as reads:
        watching = [asyncio.create_task(watched(i2v, job.name, joined)) for _ in range(WATCHERS)]
        for _ in range(WATCHERS):
            await joined.acquire()
        backend.gate.set()
        seen = await asyncio.gather(*watching)
    assert len(reads) < WATCHERS
    for events in seen:
        assert [event.WhichOneof("event") for event in events] == SEES
        assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 6]


async def test_a_late_watcher_sees_all_earlier_and_later_events(i2v: Served, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    job, joined = await i2v.submit(text_spec()), asyncio.Semaphore(0)
    first = asyncio.create_task(watched(i2v, job.name, joined))
    await joined.acquire()
    late = asyncio.create_task(watched(i2v, job.name, joined))
    await joined.acquire()
    later = asyncio.create_task(watched(i2v, job.name, joined, after=3))
    await joined.acquire()
    backend.gate.set()
    assert await first == await late
    assert await later == (await late)[3:]


async def test_a_watch_from_beyond_the_last_event_ends_with_the_job(i2v: Served, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    job, joined = await i2v.submit(text_spec()), asyncio.Semaphore(0)
    ahead = asyncio.create_task(watched(i2v, job.name, joined, after=99))
    await i2v.until(job.name, "fragment_ready")
    backend.gate.set()
    await i2v.ended(job.name)
    assert await ahead == []


async def test_queue_positions_are_computed_once_for_all_watchers(database: str, tmp_path: Path) -> None:
    async with served(database, tmp_path, {}, role=Role.API) as i2v:
        jobs = [await i2v.submit(text_spec()) for _ in range(WATCHERS)]

        async def place(name: str) -> int:
            async for answer in i2v.jobs.WatchJob(job_pb2.WatchJobRequest(name=name), metadata=caller()):
                if answer.HasField("heartbeat") and answer.heartbeat.queue_place:
                    return answer.heartbeat.queue_place
            raise AssertionError("the job ended")

        with statements("state = 'queued'") as reads:
            places = await asyncio.gather(*(place(job.name) for job in jobs))
        assert places == list(range(1, WATCHERS + 1))
        assert len(reads) < WATCHERS / 2


async def test_watchers_continue_when_the_listening_connection_breaks(i2v: Served, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    job, joined = await i2v.submit(text_spec()), asyncio.Semaphore(0)
    watching = [asyncio.create_task(watched(i2v, job.name, joined)) for _ in range(3)]
    for _ in watching:
        await joined.acquire()
    async with i2v.app.store.database.writing() as connection:
        await connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN i2v%'")
        )
    backend.gate.set()
    for events in await asyncio.gather(*watching):
        assert [event.WhichOneof("event") for event in events] == SEES
