"""Drives a backend: its events become stored fragments, the journal of what is paid for, and the job's events.

Money first: a task of paid work is journalled before it is handed over, and the vendor's reference before anything
else happens. While the database is away both wait; the vendor can be told of nothing that is not written down.
"""

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

from services.orchestrator.attempt.state import AttemptState
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.card import ModelCard, assets_of
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.event import (
    Accepted,
    Continued,
    FragmentReady,
    JobError,
    Progressed,
    Released,
    Retrying,
    Submitting,
    VideoOutput,
)
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.domain.output_differences import output_differences
from services.orchestrator.domain.paid_call import Acceptance, Charge, Submission, submission_id
from services.orchestrator.domain.spec import SceneAnimation, Size, TalkingAvatar
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.backend import (
    AttemptFailed,
    Backend,
    Checkpoint,
    Continues,
    Fragment,
    GenerationRequest,
    Handover,
    Input,
    Output,
    Receipt,
    Stage,
)
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.disk_space import Room
from services.orchestrator.ports.job_events import JobEvents
from services.orchestrator.ports.media import Keep, Probe
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.paid_backend import TaskFailed
from services.orchestrator.ports.prompt_writer import ModelDown, PromptWriter

WRITTEN_S = 20.0
"""How long an attempt that must end waits for its prompt."""
PROMPT_MOST = 2500
"""Characters that a prompt writer may be asked for."""
PROMPTS = 6
"""Times that a language model which does not answer is asked for a job's prompt: each may cost."""
EVENTS_MOST = 10_000
"""Of a job that are looked at for that."""


@dataclass(frozen=True, slots=True)
class Generator:
    """Makes videos by backends. Holds no state of its own."""

    job_events: JobEvents
    assets: Assets
    blobs: Blobs
    backends: Mapping[str, Backend]
    catalog: Catalog
    clock: Clock
    probe: Probe
    keep_output: Keep
    """The same for what vendors made."""
    writer: PromptWriter | None
    meter: Meter
    workroot: Path
    room: Room

    async def make(self, run: AttemptState) -> VideoOutput:
        """Drives the backend to its output, which is stored. Raises what the backend raises, and Superseded."""
        job, card = run.job, self.catalog.card(run.job.spec.model)
        backend = self.backends.get(card.backend)
        if backend is None:
            error = JobError("BACKEND_UNKNOWN", f"No backend {card.backend!r} runs here.", retryable=True)
            raise AttemptFailed(error)
        if not run.external_ref:
            self.room(0)  # no new work begins, or is paid for, without space; paid work may use the remaining space
        frames, last = 0, None
        workdir = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="attempt-", dir=self.workroot))
        try:
            if job.spec.written and job.written is None and not run.external_ref:
                run.job = job = await self._write(run, card)
            attempt = await self._attempt(run, card, workdir)
            async with aclosing(backend.generate(attempt)) as happenings:
                async for happening in happenings:
                    if last is not None and not isinstance(happening, Output):
                        await last
                        last = None
                    match happening:
                        case Stage(name=name, progress=progress):
                            await run.record(Progressed(name, progress))
                        case Continues(block=block, progress=progress):
                            await run.record(Continued(block, progress))
                            self.meter.continued(job)
                        case Checkpoint():
                            await run.checkpoints.save(happening, workdir)
                        case Fragment():
                            frames += happening.frames
                            if frames != run.frames:
                                await self._fragment(run, happening, workdir)
                            else:  # stored and announced while the whole file is probed and stored
                                last = asyncio.create_task(self._fragment(run, happening, workdir))
                        case Handover(model=model):
                            await run.journal(Submitting(card.backend), Submission(model))
                            run.submitting = True
                        case Receipt(external_ref=external_ref):
                            await run.journal(Accepted(card.backend), Acceptance(external_ref))
                            run.external_ref, run.submitting = external_ref, False
                            run.answered.set()
                        case Output():
                            output = await self._output(run, card, happening)
                            if last is not None:
                                await last
                            return output
            raise RuntimeError("the backend ended without an output")
        except TaskFailed as failure:
            if failure.charge is Charge.NOT_CHARGED:
                await self.release(run, failure.error.reason)
            raise
        finally:
            run.answered.set()
            if last is not None:
                last.cancel()
                await asyncio.gather(last, return_exceptions=True)
            await _remove(workdir)

    async def release(self, run: AttemptState, reason: str) -> None:
        """Notes that the job's task certainly costs nothing, if there is one. Raises Superseded."""
        await run.journal(Released(self.catalog.card(run.job.spec.model).backend, reason))
        run.submitting = False

    async def _write(self, run: AttemptState, card: ModelCard) -> Job:
        """Has the prompt written, and returns the job with it.

        An attempt that must end waits for what is being written, for a while: it is paid for, and goes on the ledger.
        """
        writing = asyncio.create_task(self._written(run, card))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing}, timeout=WRITTEN_S)
            raise
        finally:
            writing.cancel()
            await asyncio.wait({writing})
            if not writing.cancelled():
                writing.exception()  # nobody else asks for it where the attempt ends

    async def _written(self, run: AttemptState, card: ModelCard) -> Job:
        operation = run.job.spec.operation
        assert isinstance(operation, SceneAnimation | TalkingAvatar)
        if self.writer is None:
            error = JobError("PROMPT_WRITER_MISSING", "No prompt writer is reached from here.", retryable=True)
            raise AttemptFailed(error)
        await run.record(Progressed("write-prompt", 0.0))
        most = card.prompt_max_characters
        if card.remote is not None and card.remote.written_prompt_max_characters is not None:
            most = card.remote.written_prompt_max_characters
        most = min(most, PROMPT_MOST)
        # Under the job's name: if this process dies before it is noted, the next attempt gets what was paid for.
        try:
            written = await self.writer.write(operation.kind, operation.scene, most, run.job.id)
        except ModelDown as trouble:
            raise await self._unwritten(run, trouble) from None
        return await run.tell(written)

    async def _unwritten(self, run: AttemptState, trouble: ModelDown) -> Exception:
        """Returns what a language model that does not answer comes to: another attempt, or after many the end."""
        events = await self.job_events.read(run.job.id, after=0, limit=EVENTS_MOST)
        waits = [event.body for event in events if isinstance(event.body, Retrying)]
        before = sum(wait.error.reason == trouble.reason for wait in waits)
        if before + 1 >= PROMPTS:
            return AttemptFailed(JobError(trouble.reason, trouble.message, retryable=True))
        return trouble

    async def _attempt(self, run: AttemptState, card: ModelCard, workdir: Path) -> GenerationRequest:
        """Gathers all that the backend gets to see."""
        job = run.job
        picture: bytes | None = None
        inputs: tuple[Input, ...] = ()
        if card.remote is None:
            if image := assets_of(job.spec).get("image"):
                picture = b"".join([chunk async for chunk in self.blobs.read((await self._asset(job, image)).key)])
        elif not run.external_ref:
            inputs = tuple([await self._input(job, *each, workdir) for each in assets_of(job.spec).items()])
        return GenerationRequest(
            job_id=job.id,
            number=job.attempt,
            spec=job.spec,
            card=card,
            picture=picture,
            workdir=workdir,
            checkpoints=await run.checkpoints.load(),
            prompt=job.prompt,
            negative_prompt=_negative(job, card),
            inputs=inputs,
            submission_id=submission_id(job.id, job.attempt),
            external_ref=run.external_ref,
        )

    async def _asset(self, job: Job, sha256: str) -> Asset:
        return await self.assets.get(sha256, tenant=job.tenant, user=job.user)

    async def _input(self, job: Job, role: str, sha256: str, workdir: Path) -> Input:
        """Brings an asset's bytes into the workdir, never whole in memory: then nothing of it fails at the handover."""
        asset = await self._asset(job, sha256)
        path = workdir / role
        with path.open("wb") as file:
            async for chunk in self.blobs.read(asset.key):
                await asyncio.to_thread(file.write, chunk)
        return Input(role, asset.info.media_type, asset.size_bytes, asset.sha256, path)

    async def _fragment(self, run: AttemptState, fragment: Fragment, workdir: Path) -> None:
        """Stores a fragment and tells of it, unless an earlier attempt has told of the same."""
        job, sha256 = run.job, hashlib.sha256(fragment.data).hexdigest()
        ready = FragmentReady(run.made, sha256, fragment.frames, len(fragment.data), fragment.progress)
        run.made += 1
        if run.fragments.hold(ready):
            if fragment.progress > run.progress:  # made again, though
                await run.record(Progressed("generate", fragment.progress))
            return
        card, size = self.catalog.card(job.spec.model), _size(job)
        info = VideoInfo("video/mp4", size.width, size.height, fragment.frames, card.fps, fragment.frames / card.fps)
        path = workdir / f"fragment-{ready.index}.mp4"
        await asyncio.to_thread(path.write_bytes, fragment.data)
        asset = Asset(job.tenant, job.user, sha256, len(fragment.data), info, self.clock.now())
        await self.blobs.put_file(asset.key, path, media_type=info.media_type)
        await run.record(ready, asset)
        run.fragments.tell(ready)
        if ready.index == 0 and job.attempt == 1:
            self.meter.first_fragment(job, (self.clock.now() - job.create_time).total_seconds())

    async def _output(self, run: AttemptState, card: ModelCard, output: Output) -> VideoOutput:
        """Probes the finished file, stores it and returns its facts; the backend's own statements are not trusted.

        Its asset is recorded together with the end of the job.
        """
        job = run.job
        path, sha256 = output.path, output.sha256
        if card.remote is None:
            info, sha256 = await asyncio.gather(asyncio.to_thread(self.probe, path), asyncio.to_thread(_digest, path))
        else:
            info, path = await asyncio.to_thread(self.keep_output, path)
            if not sha256 or path != output.path:
                sha256 = await asyncio.to_thread(_digest, path)
        size = Size(info.width, info.height)
        if card.remote is None and (size, info.frames) != (wanted := (_size(job), card.frames(job.spec))):
            what = f"The backend made {info.frames} frames of {size}, not {wanted[1]} of {wanted[0]}."
            raise AttemptFailed(JobError("OUTPUT_WRONG", what, retryable=True))
        size_bytes = path.stat().st_size
        asset = Asset(job.tenant, job.user, sha256, size_bytes, info, self.clock.now(), output.promised)
        await self.blobs.put_file(asset.key, path, media_type=info.media_type)
        run.output = (asset,)
        for warning in output_differences(job.spec, info, output.promised) if card.remote is not None else ():
            await run.tell(warning)
            self.meter.warned(job, warning.reason)
        return VideoOutput(sha256, size, info.frames, info.fps, round(info.duration_s * 1000), asset.size_bytes)


def _negative(job: Job, card: ModelCard) -> str | None:
    """Returns what shall not be seen: as the spec says, else as it was written, where the model takes such a thing."""
    given: str | None = getattr(job.spec.operation, "negative_prompt", None)
    if given is not None or job.written is None or not job.written.negative_prompt:
        return given
    if card.remote is None or "negative-prompt" not in card.remote.takes:
        return None
    return job.written.negative_prompt[: card.remote.negative_prompt_max_characters]


def _size(job: Job) -> Size:
    assert job.spec.size is not None, "an admitted spec is complete"
    return job.spec.size


async def _remove(workdir: Path) -> None:
    """Removes the files of an attempt. If no thread can be started, they stay until this process has ended."""
    with suppress(RuntimeError):
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, workdir, ignore_errors=True))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
