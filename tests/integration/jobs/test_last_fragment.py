"""The end of a video: its last fragment and the whole file are stored in parallel, and announced in order."""

import asyncio
import threading
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.orchestrator.attempt.assembly import attempt_runner
from services.orchestrator.attempt.result import JobEnded
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.domain.event import FragmentReady, Succeeded
from services.orchestrator.domain.job import State
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.media.probe import keep_output, probe
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.ports.disk_space import any_room
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import FakeClock, ScriptedBackend, a_catalog, a_job, admit

PATIENCE_S = 30.0


class HeldBlobs(LocalBlobs):
    """Stores the last fragment only after the whole file was probed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.looked = threading.Event()
        self.videos = 0

    async def put_file(self, key: str, source: Path, *, media_type: str) -> None:
        self.videos += media_type == "video/mp4"
        if self.videos == 2:
            assert await asyncio.to_thread(self.looked.wait, PATIENCE_S), "the whole file was not probed meanwhile"
        await super().put_file(key, source, media_type=media_type)


async def test_the_last_fragment_is_stored_while_the_whole_file_is_looked_into(
    store: PostgresStore, clock: FakeClock, tmp_path: Path
) -> None:
    blobs = HeldBlobs(tmp_path / "blobs")

    def look(path: Path) -> VideoInfo:
        blobs.looked.set()
        return probe(path)

    runner = attempt_runner(
        jobs=store.jobs,
        job_events=store.job_events,
        paid_calls=store.paid_calls,
        assets=store.assets,
        blobs=blobs,
        backends={"test": ScriptedBackend()},
        catalog=a_catalog(),
        clock=clock,
        probe=look,
        keep_output=keep_output,
        meter=PrometheusMeter(CollectorRegistry()),
        writer=None,
        available=lambda _: True,
        workroot=tmp_path,
        room=any_room,
    )
    job = await admit(store, a_job())
    assert await runner.run(job.id) == JobEnded()
    ended = await store.jobs.get(job.id)
    assert ended.state is State.SUCCEEDED and ended.output is not None
    bodies = [event.body for event in await store.job_events.read(job.id, after=0)]
    assert [type(body) for body in bodies[-3:]] == [FragmentReady, FragmentReady, Succeeded]
    assert (
        await store.assets.get(ended.output.asset, tenant="studio", user="ann")
    ).size_bytes == ended.output.size_bytes
    await blobs.close()
