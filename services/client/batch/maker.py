"""The making of one video: upload, note, submit, note, wait, download, note. It goes on where it was interrupted."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from i2v.v1 import job_pb2

from i2v_client import ENDED
from i2v_client.errors import Busy, NotFound, QuotaExceeded, Unreachable
from services.client import money_format
from services.client.batch.batch_folder import BatchFolder
from services.client.batch.commits import Commits
from services.client.batch.item import Again, Item, State
from services.client.batch.job_options import JobOptions
from services.client.batch.journal import Journal
from services.client.batch.pictures import Picture, Pictures
from services.client.batch.row import BadRow
from services.client.batch.service import Service

PLACES = {"unfinished", "queued"}
"""Limits of how many jobs there are at a time: one becomes free when a job ends."""
PAUSE_S = (0.5, 10.0)
"""The first and the longest pause before the next try to get a place."""
RETRY_FOR_S = 120.0


class Stopped(Exception):
    """The batch stops, and this video was not submitted."""


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a video."""

    item: Item
    job: job_pb2.Job | None = None
    problem: str = ""
    """Why there is none; empty: it is in its file."""


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the videos of a batch."""

    service: Service
    journal: Journal
    commits: Commits
    folder: BatchFolder
    pictures: Pictures
    options: JobOptions
    stop: asyncio.Event
    """Nothing more is submitted when it is set."""
    on_outage: Callable[[Unreachable], None]

    async def make(self, item: Item) -> Made:
        """Makes a video that is missing, and returns what became of it.

        Raises Stopped; I2VError of the submission or for all videos; BadRow for a picture; OSError.
        """
        if item.state is State.SUBMITTED:
            name = item.job
        elif item.state is State.FAILED and item.again is Again.RESUME:
            name = await self._resumed(item)
        else:
            name = await self._submitted(item)
        try:
            job = await self._ended_job(name, began_before=item.state is State.SUBMITTED)
        except NotFound as error:
            raise BadRow(
                f"the service no longer knows {name}; it is not made again, because it may be paid for"
            ) from error
        return await self._ended(item, job)

    async def _ended_job(self, name: str, *, began_before: bool) -> job_pb2.Job:
        if began_before and (job := await self.service.get(name)).state in ENDED:
            return job
        events = self.service.watch(name, retry_for_s=RETRY_FOR_S, on_outage=self.on_outage)
        async with aclosing(events):
            async for _ in events:
                pass
        return await self.service.get(name)

    async def _resumed(self, item: Item) -> str:
        request_id = item.next_request_id(self._batch)
        job = await self._with_place(lambda: self.service.resume(item.job, request_id))
        self.commits.soon(lambda: self.journal.submitted(item, job.name, request_id))
        return job.name

    async def _submitted(self, item: Item) -> str:
        spec, request_id, picture = job_pb2.JobSpec.FromString(item.spec), item.request_id, None
        if item.state is not State.INTENDED:
            picture = await self.pictures.of(item)
            spec, request_id = await self._intended(item, picture)
        try:
            job = await self._with_place(lambda: self.service.submit(spec, request_id))
        except NotFound:  # of the picture; so the job was not admitted before either
            picture = picture or await self.pictures.of(item)
            await self.pictures.forget(picture)
            spec, request_id = await self._intended(item, await self.pictures.of(item))
            job = await self._with_place(lambda: self.service.submit(spec, request_id))
        self.commits.soon(lambda: self.journal.submitted(item, job.name, request_id))
        return job.name

    async def _intended(self, item: Item, picture: Picture) -> tuple[job_pb2.JobSpec, str]:
        spec = self.options.spec(prompt=item.prompt, negative=item.negative, seed=item.seed, image=picture.asset)
        request_id, data = item.next_request_id(self._batch), spec.SerializeToString()
        await self.commits.make(lambda: self.journal.intend(item, request_id, data, picture.sha256))
        return spec, request_id

    async def _with_place(self, call: Callable[[], Awaitable[job_pb2.Job]]) -> job_pb2.Job:
        """Makes a call until there is a place for a job. Raises Stopped, I2VError."""
        pause_s = PAUSE_S[0]
        while not self.stop.is_set():
            try:
                return await call()
            except (Busy, QuotaExceeded) as error:
                if isinstance(error, QuotaExceeded) and not _frees_itself(error):
                    raise
                wait_s = max(error.retry_after_s or 0.0, pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, PAUSE_S[1])
            try:
                async with asyncio.timeout(wait_s):
                    await self.stop.wait()
            except TimeoutError:
                continue
        raise Stopped

    async def _ended(self, item: Item, job: job_pb2.Job) -> Made:
        if job.state != job_pb2.Job.SUCCEEDED:
            return await self._failed(item, job)
        size = await self._downloaded(item, job)

        def note() -> None:
            self.journal.charge(job.name, job.charged.amount_micros, job.charged.currency_code)
            self.journal.done(item, size)

        self.commits.soon(note)
        return Made(item, job)

    async def _downloaded(self, item: Item, job: job_pb2.Job) -> int:
        asset, part = job.output.asset, self.folder.parts / f"{item.id}.mp4"
        if await asyncio.to_thread(self.folder.holds, item.name, asset.removeprefix("assets/")):
            return job.output.size_bytes
        try:
            size = await self.service.download(asset, part)
        except NotFound as error:
            raise BadRow(f"the service no longer has the video of {job.name}; it is not paid for again") from error
        try:
            await asyncio.to_thread(self.folder.put, part, item.name)
        except FileExistsError as error:
            raise BadRow(f"{item.name}: {error.strerror}") from error
        return size

    async def _failed(self, item: Item, job: job_pb2.Job) -> Made:
        if job.state == job_pb2.Job.CANCELLED:
            again, why = Again.RETRY, f"{job.name} was cancelled"
        else:
            error = job.error
            again = Again.RESUME if error.resumable else Again.RETRY if error.retryable else Again.NO
            why = f"{job.name} failed: {error.message} ({error.reason})"
        if job.charged.amount_micros:
            why += f"; {money_format.text(job.charged)} was charged"

        def note() -> None:
            self.journal.charge(job.name, job.charged.amount_micros, job.charged.currency_code)
            self.journal.failed(item, why, again)

        self.commits.soon(note)
        return Made(item, job, why)

    @property
    def _batch(self) -> uuid.UUID:
        return self.journal.batch


def _frees_itself(error: QuotaExceeded) -> bool:
    """Returns whether only the number of jobs at a time refuses, and will not do so without other jobs."""
    return bool(error.limits) and all(
        each.per == "at-a-time" and each.measure.partition(":")[0] in PLACES and each.asked <= each.limit
        for each in error.limits
    )
