"""What processes do in a library, each in steps that a kill can end and that another process continues."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from services.errors import NotFound
from services.orchestrator.assets.ingest import Ingest, Upload
from services.orchestrator.assets.renditions import OnDemandRenditions
from services.orchestrator.assets.resumable_uploads import ResumableUploads
from services.orchestrator.assets.upload_parts import UploadParts
from services.orchestrator.blobs.kept import KeptBlobs
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.clock_and_ids import SystemIds
from services.orchestrator.domain import event as events
from services.orchestrator.domain import next_event
from services.orchestrator.domain.asset import blob_key
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo, VideoInfo
from services.orchestrator.domain.open_upload import UploadId
from services.orchestrator.library_metrics import LibraryMetrics
from services.orchestrator.retention.old_uploads import OldUploads
from services.orchestrator.retention.unneeded_bytes import UnneededBytes
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import FakeClock, a_caller, admit
from tests.support.kills import Killed, killed_at, quiet
from tests.support.old_jobs import digest, end_of, video
from tests.support.trash_rounds import GRACE

TENANT = "studio"
NO_MAKER: Any = None
"""Nothing is made of these videos."""
MADE = sa.text("SELECT body ->> 'asset' FROM job_events WHERE job_id = :id AND kind = 'FragmentReady'")


class AnyVideo:
    """Takes everything for a video."""

    async def picture(self, path: Path, out: Path, *, tenant: str) -> PictureInfo:
        raise AssertionError("no picture is uploaded")

    async def video(self, path: Path, *, tenant: str) -> VideoInfo:
        return VideoInfo("video/mp4", 64, 32, 4, 8.0, 0.5)

    async def sound(self, path: Path, *, tenant: str) -> AudioInfo:
        raise AssertionError("no sound is uploaded")


@dataclass(frozen=True)
class Life:
    """One process, from its start to its end or its kill. The bytes of an asset are its name."""

    store: PostgresStore
    blobs: LocalBlobs
    clock: FakeClock
    folder: Path

    @property
    def kept(self) -> KeptBlobs:
        return KeptBlobs(self.blobs, self.store.blob_removals, self.clock)

    def _ingest(self) -> Ingest:
        return Ingest(self.store.assets, self.kept, self.clock, AnyVideo(), self.folder)

    def _parts(self) -> UploadParts:
        return UploadParts(self.store.uploads, self.blobs)

    async def upload(self, name: str, user: str) -> None:
        await self._ingest().take(Upload("video/mp4", None, ""), _bytes(name), replace(a_caller(user), tenant=TENANT))

    async def upload_in_parts(self, name: str, user: str, id: str) -> None:
        """Continues from what has arrived."""
        caller, upload_id = replace(a_caller(user), tenant=TENANT), UploadId(TENANT, user, id)
        offset = 0
        with suppress(NotFound):
            offset = (await self.store.uploads.find(upload_id)).received_bytes
        resumable = ResumableUploads(
            self.store.uploads,
            self._parts(),
            self.store.assets,
            self.blobs,
            self._ingest(),
            self.clock,
            SystemIds(),
            part_bytes=2,
        )
        header = Upload("video/mp4", len(name), digest(name))
        await resumable.take(upload_id, offset, header, _bytes(name[offset:]), caller)

    async def make(self, job: Job, fragments: Sequence[str], output: str) -> None:
        """Makes a video, or what is left to make of it."""
        try:
            found = await self.store.jobs.get(job.id)
        except NotFound:
            await admit(self.store, job)
            found = await self.store.jobs.get(job.id)
        if found.state is State.SUCCEEDED:
            return
        if found.state is State.QUEUED:
            await self.store.jobs.record(job.id, next_event.start)
        async with self.store.database.reading() as connection:
            made = set((await connection.execute(MADE, {"id": job.id})).scalars())
        for index, name in enumerate(fragments):
            if digest(name) not in made:
                await self._put(name)
                ready = events.FragmentReady(index, digest(name), 4, 4, 0.5)
                piece = video(job, name, self.clock.now())
                await self.store.jobs.record(job.id, lambda _, body=ready: body, assets=[piece])
        await self._put(output)
        whole = video(job, output, self.clock.now())
        await self.store.jobs.record(job.id, lambda _: end_of(State.SUCCEEDED, output), assets=[whole])

    async def _put(self, name: str) -> None:
        source = self.folder / f"made-{SystemIds().job_id()}"  # the store keeps the file under another name
        source.write_bytes(name.encode())
        await self.kept.put_file(blob_key(TENANT, digest(name)), source, media_type="video/mp4")
        source.unlink()

    async def collect(self) -> None:
        """A round of the collector, and of the removal of unfinished uploads."""
        before = self.clock.now() - GRACE
        async for _ in OldUploads(self.store.uploads, self._parts().discard).batches(before):
            pass
        meter = LibraryMetrics(CollectorRegistry())
        renditions = OnDemandRenditions(
            self.store.renditions, NO_MAKER, self.store.assets, self.blobs, self.clock, meter, self.folder
        )
        async for _ in UnneededBytes(self.store.blob_removals, self.blobs, renditions.remove, meter).batches(before):
            pass

    async def content(self, key: EntryKey) -> bytes | None:
        """Returns the bytes of an asset; None if it cannot be read. Fails if its record is there and its bytes not."""
        try:
            asset = await self.store.assets.get(key.sha256, tenant=key.tenant, user=key.user)
        except NotFound:
            return None
        return b"".join([chunk async for chunk in self.blobs.read(asset.key)])


Work = Callable[[Life], Coroutine[Any, Any, Any]]


@dataclass(frozen=True)
class Lives:
    """The processes that work in one library, one after the other."""

    store: PostgresStore
    clock: FakeClock
    folder: Path

    async def run(self, work: Work, kill_at: int = 0) -> bool:
        """Lets a process do something. Returns False if it was killed; raises what the work raises."""
        blobs = LocalBlobs(self.folder / "blobs")
        life = Life(self.store, blobs, self.clock, self.folder)
        try:
            await killed_at(work(life), kill_at)
        except Killed:
            return False
        finally:
            await blobs.close()  # what its threads have begun ends before anything else begins
            if kill_at:
                await quiet(self.store.database)
        return True


async def _bytes(name: str) -> AsyncIterator[bytes]:
    if name:
        yield name.encode()
