"""One attempt at a job: a backend's events become stored fragments, the job's events, and one settlement.

Whatever goes wrong ends in exactly one of: the job has ended and is settled; the job waits for another attempt; another
attempt has taken over and this one has written nothing more. A process that dies here leaves the job to the next
attempt.
"""

import asyncio
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from services.errors import ServiceError, Unavailable
from services.orchestrator.checkpoint import Checkpoints
from services.orchestrator.domain import job as jobs
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.event import (
    Body,
    Cancelled,
    Continued,
    Failed,
    FragmentReady,
    JobError,
    Progressed,
    Retrying,
    Succeeded,
    VideoOutput,
)
from services.orchestrator.domain.fragments import Fragments
from services.orchestrator.domain.job import Job, State, Superseded
from services.orchestrator.domain.media import VideoInfo
from services.orchestrator.domain.price import partial_charge
from services.orchestrator.domain.spec import ImageToVideo, Size
from services.orchestrator.ports import (
    Attempt,
    AttemptFailed,
    Backend,
    Blobs,
    Checkpoint,
    Clock,
    Continues,
    Decide,
    Fragment,
    Meter,
    Output,
    Probe,
    Signal,
    Stage,
    Store,
)

INSIST_S = 1.0
EARLY = timedelta(seconds=0.5)
"""By how much a timer may ring before the clock says so."""
STOP_LOOK_S = 5.0
"""How often a running attempt looks for a stop that it was not told of."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Run:
    """One attempt under way."""

    job: Job
    """As the attempt began."""
    checkpoints: Checkpoints
    fragments: Fragments
    """Those of the earlier attempts too."""
    frames: int
    """Of the whole video."""
    made: int = 0
    """Fragments that this attempt has made, told or not."""
    progress: float = 0.0

    def partial_charge(self) -> int:
        """Returns what the job costs if it is stopped now."""
        return partial_charge(self.job.quote_micros, self.fragments.frames, self.frames)


@dataclass(frozen=True, slots=True)
class Executor:
    """Runs attempts. Holds no state of its own."""

    store: Store
    blobs: Blobs
    backends: Mapping[str, Backend]
    catalog: Catalog
    clock: Clock
    probe: Probe
    meter: Meter
    workroot: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))

    async def attempt(self, job_id: str) -> float | None:
        """Makes one attempt. Returns the seconds to wait before the next, or None when there is none to make."""
        job = await self.store.record(job_id, jobs.start)
        run = _Run(job, Checkpoints(self.blobs, self.meter, job), Fragments(), 0)
        if job.state.ended:
            await run.checkpoints.discard()
            return None
        if job.attempt == 1:
            self.meter.started(job, (self.clock.now() - job.create_time).total_seconds())
        card = self.catalog.cards.get(job.spec.model)
        if card is None:
            gone = JobError("MODEL_GONE", f"The model {job.spec.model!r} is no longer in the catalog.", retryable=False)
            return await self._conclude(run, Failed(gone, charged_micros=0))
        run.frames = card.frames(job.spec)
        if job.attempt > 1:
            run.fragments = Fragments.of(await self.store.fragments(job_id))
        if job.state is State.CANCELLING:  # asked of a worker that was lost
            return await self._conclude(run, Cancelled(run.partial_charge()))
        async with self.store.stops(job_id) as signal:
            work = asyncio.create_task(self._make(run), name=f"make-{job_id}")
            stop = asyncio.create_task(self._stopped(job, signal), name=f"stop-{job_id}")
            try:
                left_s = (job.expire_time - self.clock.now()).total_seconds()
                await asyncio.wait({work, stop}, timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    work.cancel()
                    await asyncio.wait({work})
                outcome = self._outcome(run, work, stop)
            finally:
                for task in (work, stop):
                    task.cancel()
                await asyncio.wait({work, stop})
        return await self._conclude(run, outcome)

    async def forget(self, job: Job) -> None:
        """Removes what attempts left of a job that was ended elsewhere. Fails nothing."""
        await Checkpoints(self.blobs, self.meter, job).discard()

    def _outcome(self, run: _Run, work: asyncio.Task[Succeeded], stop: asyncio.Task[State]) -> Body | None:
        """Decides what the attempt came to; None when it is not this attempt's to say."""
        job = run.job
        if not work.cancelled():
            return self._worked(job, work)
        if stop.done():
            if stop.result() is not State.CANCELLING:
                return None
            return Cancelled(run.partial_charge())
        if self.clock.now() + EARLY < job.expire_time:
            return _failed("INTERNAL", "The backend gave up by itself; it has been logged.")
        return _failed("DEADLINE_EXCEEDED", f"The job did not end by {job.expire_time:%H:%M:%S} UTC.")

    def _worked(self, job: Job, work: asyncio.Task[Succeeded]) -> Body | None:
        try:
            return work.result()
        except Superseded:
            return None
        except AttemptFailed as failure:
            return Failed(failure.error, charged_micros=0)
        except Unavailable as trouble:
            return jobs.again(self.clock.now(), job, JobError(trouble.reason, trouble.message, retryable=True))
        except ServiceError as trouble:
            return Failed(JobError(trouble.reason, trouble.message, retryable=False), charged_micros=0)
        except Exception:
            # The boundary of the attempt: a fault of ours must not leave a job, or its reservation, hanging.
            log.exception("the attempt broke")
            return _failed("INTERNAL", "The service failed to make this video; it has been logged.")

    async def _conclude(self, run: _Run, outcome: Body | None) -> float | None:
        job = run.job
        if outcome is None:
            log.info("another attempt has the job; this one leaves")
            await self._leave(run)
            return None

        def decide(now: Job) -> Body:
            jobs.guard(now, job.attempt)
            if isinstance(outcome, Retrying) and now.state is State.CANCELLING:
                return Cancelled(run.partial_charge())
            return outcome

        try:
            after = await self._insist(job, decide)
        except Superseded:
            await self._leave(run)
            return None
        if after.state.ended:
            await run.checkpoints.discard()
            self.meter.ended(after)
            log.info("job ended", extra={"state": after.state.value, "charged_micros": after.charged_micros})
            return None
        assert isinstance(outcome, Retrying)
        log.warning("job waits for another attempt", extra={"reason": outcome.error.reason})
        return max(0.0, (outcome.retry_time - self.clock.now()).total_seconds())

    async def _leave(self, run: _Run) -> None:
        """Leaves a job that is another's, or has ended: then what this attempt still stored is nobody's."""
        with suppress(Unavailable):  # to begin anew for that would take the job from whoever has it
            if (await self.store.job(run.job.id)).state.ended:
                await run.checkpoints.discard()

    async def _insist(self, job: Job, decide: Decide) -> Job:
        """Records the end, again and again while the database is away: what was made shall not be made anew for that.

        If an answer was lost and the end is there already, it is another's, or our own: either way it stands.
        """
        while True:
            try:
                return await self.store.record(job.id, decide)
            except Unavailable:
                if self.clock.now() > job.expire_time:
                    raise
                log.warning("the end cannot be recorded yet")
                await asyncio.sleep(INSIST_S)

    async def _stopped(self, job: Job, signal: Signal) -> State:
        """Returns once the job is CANCELLING, or no longer this attempt's (any other state)."""
        while True:
            await signal.wait(STOP_LOOK_S)
            try:
                now = await self.store.job(job.id)
            except Exception:
                log.warning("the look for a stop failed; the work need not suffer", exc_info=True)
                await asyncio.sleep(INSIST_S)
                continue
            if now.attempt != job.attempt or now.state not in (State.RUNNING, State.CANCELLING):
                return State.QUEUED if not now.state.ended else now.state
            if now.state is State.CANCELLING:
                return State.CANCELLING

    async def _make(self, run: _Run) -> Succeeded:
        """Drives the backend to its output. Raises what the backend raises, and Superseded."""
        job = run.job
        card = self.catalog.card(job.spec.model)
        backend = self.backends.get(card.backend)
        if backend is None:
            raise AttemptFailed(JobError("BACKEND_UNKNOWN", f"No backend {card.backend!r} runs here.", retryable=True))
        workdir = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="attempt-", dir=self.workroot))
        try:
            picture, earlier = await self._picture(job), await run.checkpoints.load()
            attempt = Attempt(job.id, job.attempt, job.spec, card, picture, workdir, earlier)
            async with aclosing(backend.generate(attempt)) as happenings:
                async for happening in happenings:
                    match happening:
                        case Stage(name=name, progress=progress):
                            await self._record(run, Progressed(name, progress))
                        case Continues(block=block, progress=progress):
                            await self._record(run, Continued(block, progress))
                            self.meter.continued(job)
                        case Checkpoint():
                            await run.checkpoints.save(happening, workdir)
                        case Fragment():
                            await self._fragment(run, happening, workdir)
                        case Output(path=path):
                            return await self._output(job, path)
            raise RuntimeError("the backend ended without an output")
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, workdir, ignore_errors=True))

    async def _picture(self, job: Job) -> bytes | None:
        if not isinstance(job.spec.operation, ImageToVideo):
            return None
        asset = await self.store.asset(job.spec.operation.image, tenant=job.tenant, user=job.user)
        return b"".join([chunk async for chunk in self.blobs.read(asset.key)])

    async def _fragment(self, run: _Run, fragment: Fragment, workdir: Path) -> None:
        """Stores a fragment and tells of it, unless an earlier attempt has told of the same."""
        job, sha256 = run.job, hashlib.sha256(fragment.data).hexdigest()
        ready = FragmentReady(run.made, sha256, fragment.frames, len(fragment.data), fragment.progress)
        run.made += 1
        if run.fragments.hold(ready):
            if fragment.progress > run.progress:  # made again, though
                await self._record(run, Progressed("generate", fragment.progress))
            return
        card, size = self.catalog.card(job.spec.model), _size(job)
        info = VideoInfo("video/mp4", size.width, size.height, fragment.frames, card.fps, fragment.frames / card.fps)
        path = workdir / f"fragment-{ready.index}.mp4"
        await asyncio.to_thread(path.write_bytes, fragment.data)
        asset = Asset(job.tenant, job.user, sha256, len(fragment.data), info, self.clock.now())
        await self.blobs.put_file(asset.key, path, media_type=info.media_type)
        await self._record(run, ready, asset)
        run.fragments.tell(ready)
        if ready.index == 0 and job.attempt == 1:
            self.meter.first_fragment(job, (self.clock.now() - job.create_time).total_seconds())

    async def _output(self, job: Job, path: Path) -> Succeeded:
        """Looks inside the finished file, stores it and returns the event that says so; nothing is believed unseen."""
        info = await asyncio.to_thread(self.probe, path)
        size, frames = _size(job), self.catalog.card(job.spec.model).frames(job.spec)
        if (info.width, info.height, info.frames) != (size.width, size.height, frames):
            raise AttemptFailed(
                JobError(
                    "OUTPUT_WRONG",
                    f"The backend made {info.frames} frames of {info.width}x{info.height}, not {frames} of {size}.",
                    retryable=True,
                )
            )
        sha256 = await asyncio.to_thread(_digest, path)
        asset = Asset(job.tenant, job.user, sha256, path.stat().st_size, info, self.clock.now())
        await self.blobs.put_file(asset.key, path, media_type=info.media_type)
        await self.store.put_asset(asset)
        output = VideoOutput(sha256, size, info.frames, info.fps, round(info.duration_s * 1000), asset.size_bytes)
        return Succeeded(output, charged_micros=job.quote_micros)

    async def _record(self, run: _Run, body: Progressed | Continued | FragmentReady, *assets: Asset) -> None:
        def decide(now: Job) -> Body:
            jobs.guard(now, run.job.attempt)
            return body

        await self.store.record(run.job.id, decide, assets=assets)
        run.progress = max(run.progress, body.progress)


def _failed(reason: str, message: str) -> Failed:
    return Failed(JobError(reason, message, retryable=True), charged_micros=0)


def _size(job: Job) -> Size:
    assert job.spec.size is not None, "an admitted spec is complete"
    return job.spec.size


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
