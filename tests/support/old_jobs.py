"""Jobs that ended long ago, with fragments, videos and bytes, and the retention that removes them."""

import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.domain import event as events
from services.orchestrator.domain import next_event
from services.orchestrator.domain.asset import Asset, blob_key
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.event import Body, JobError, VideoOutput
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.domain.retention import Ages, Kind
from services.orchestrator.domain.spec import Size
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.retention.ended_jobs import EndedJobs
from services.orchestrator.retention.job_history import JobHistory
from services.orchestrator.retention.old_checkpoints import OldCheckpoints
from services.orchestrator.retention.old_events import OldEvents
from services.orchestrator.retention.retention import Retention
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, FakeClock, admit

DAYS = {Kind.EVENTS: 30, Kind.JOBS: 400, Kind.QUEUE_ENTRIES: 7, Kind.CHECKPOINTS: 2}
DAY_S = 86_400.0
ACT = Act(NOON, "operators/eve", "SetLegalHold", "tenants/studio", "studio", "a lawsuit", "call-7")
EVENTS = sa.text("SELECT sequence FROM job_events WHERE job_id = :id ORDER BY sequence")


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@asynccontextmanager
async def alone() -> AsyncIterator[bool]:
    """No other process removes anything."""
    yield True


def retention(store: PostgresStore, blobs: Blobs, clock: FakeClock, **changes: object) -> Retention:
    """All kinds but the queue's, without pauses."""
    history = JobHistory(store.old_jobs, blobs)
    removals = (
        OldEvents(store.old_jobs, history),
        EndedJobs(store.old_jobs, history),
        OldCheckpoints(store.old_jobs, blobs, store.assets),
    )
    values: dict[str, object] = {
        "removals": removals,
        "ages": Ages(DAYS),
        "only_one": alone,
        "clock": clock,
        "meter": PrometheusMeter(CollectorRegistry()),
        "pause_s": 0.0,
    }
    return Retention(**(values | changes))  # type: ignore[arg-type]


class Bytes:
    """Blobs in a folder, whose files are as old as a test says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.blobs = LocalBlobs(folder / "blobs")

    async def put(self, key: str, *, age_s: float = 10 * DAY_S, data: bytes = b"") -> None:
        source = self._folder / "source"
        source.unlink(missing_ok=True)
        source.write_bytes(data or key.encode())
        await self.blobs.put_file(key, source, media_type="video/mp4")
        written = (self._folder / "blobs" / key).stat().st_mtime - age_s
        os.utime(self._folder / "blobs" / key, (written, written))

    async def has(self, key: str) -> bool:
        return await self.blobs.size(key) is not None


def video(job: Job, name: str, now: datetime) -> Asset:
    info = VideoInfo("video/mp4", 64, 32, 4, 8.0, 0.5)
    return Asset(job.tenant, job.user, digest(name), 4, info, now)


def end_of(state: State, output: str = "video") -> Body:
    match state:
        case State.SUCCEEDED:
            return events.Succeeded(VideoOutput(digest(output), Size(64, 32), 8, 8.0, 1000, 4), 1000)
        case State.FAILED:
            return events.Failed(JobError("X", "x", retryable=True), 0)
        case State.CANCELLED:
            return events.Cancelled(0)
    raise ValueError(state)


async def run_job(
    store: PostgresStore,
    clock: FakeClock,
    stored: Bytes,
    job: Job,
    *,
    state: State = State.SUCCEEDED,
    fragments: Sequence[str] = (),
    output: str = "video",
) -> Job:
    """Admits a job now, and brings it into a state, with its fragments stored."""
    job = replace(job, create_time=clock.now())
    await admit(store, job)
    if state is State.QUEUED:
        return await store.jobs.get(job.id)
    await store.jobs.record(job.id, next_event.start)
    for index, name in enumerate(fragments):
        await stored.put(blob_key(job.tenant, digest(name)))
        ready = events.FragmentReady(index, digest(name), 4, 4, 0.5)
        await store.jobs.record(job.id, lambda _, body=ready: body, assets=[video(job, name, clock.now())])
    if state is State.RUNNING:
        return await store.jobs.get(job.id)
    made = []
    if state is State.SUCCEEDED:
        await stored.put(blob_key(job.tenant, digest(output)))
        made = [video(job, output, clock.now())]
    if state is State.CANCELLED:
        await store.jobs.record(job.id, next_event.cancel)
    return (await store.jobs.record(job.id, lambda _: end_of(state, output), assets=made)).after


async def sequences(store: PostgresStore, job_id: str) -> list[int]:
    """Returns the numbers of the events that a job has."""
    async with store.database.reading() as connection:
        return list((await connection.execute(EVENTS, {"id": job_id})).scalars())


async def known(store: PostgresStore, tenant: str, user: str, name: str) -> bool:
    """Whether a user has the asset of this name."""
    query = sa.text('SELECT count(*) FROM assets WHERE tenant = :tenant AND "user" = :user AND sha256 = :sha256')
    async with store.database.reading() as connection:
        given = {"tenant": tenant, "user": user, "sha256": digest(name)}
        return bool((await connection.execute(query, given)).scalar_one())
