"""The end of a video: its last fragment and the whole file are stored in parallel, and announced in order."""

import asyncio
import threading
from pathlib import Path

from services.orchestrator.attempt.result import JobEnded
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.domain.event import FragmentReady, Succeeded
from services.orchestrator.domain.job import State
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.media.probe import probe
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.attempt_runners import an_attempt_runner
from tests.support.builders import FakeClock, ScriptedBackend, a_job, admit

TIMEOUT_S = 30.0


class HeldBlobs(LocalBlobs):
    """Stores the last fragment only after the whole file was probed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.looked = threading.Event()
        self.videos = 0

    async def put_file(self, key: str, source: Path, *, media_type: str) -> None:
        self.videos += media_type == "video/mp4"
        if self.videos == 2:
            assert await asyncio.to_thread(self.looked.wait, TIMEOUT_S), "the whole file was not probed meanwhile"
        await super().put_file(key, source, media_type=media_type)


async def test_the_last_fragment_is_stored_while_the_whole_file_is_probed(
    store: PostgresStore, clock: FakeClock, tmp_path: Path
) -> None:
    blobs = HeldBlobs(tmp_path / "blobs")

    def look(path: Path) -> VideoInfo:
        blobs.looked.set()
        return probe(path)

    runner = an_attempt_runner(store, clock, blobs, ScriptedBackend(), tmp_path, look=look)
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
