"""Generates a job's video: drives a backend and turns its events into stored fragments and events of the job."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from services.orchestrator.attempt.event_recorder import EventRecorder
from services.orchestrator.attempt.fragment_store import FragmentStore
from services.orchestrator.attempt.inputs import Inputs
from services.orchestrator.attempt.output_store import OutputStore
from services.orchestrator.attempt.paid_call_recorder import PaidCallRecorder
from services.orchestrator.attempt.state import AttemptState
from services.orchestrator.attempt.workdir import workdir
from services.orchestrator.attempt.written_prompt import WrittenPrompts, negative_prompt
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.event import Continued, JobError, Progressed, VideoOutput
from services.orchestrator.domain.paid_call import Charge, submission_id
from services.orchestrator.ports.backend import (
    AttemptFailed,
    Backend,
    BackendEvent,
    Checkpoint,
    Continues,
    Fragment,
    GenerationRequest,
    Input,
    Output,
    Stage,
    TaskAccepted,
    TaskSubmitting,
)
from services.orchestrator.ports.disk_space import Room
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.paid_backend import TaskFailed
from services.reasons import JobReason


@dataclass(frozen=True, slots=True)
class Generator:
    """Generates videos. Keeps no state between attempts."""

    backends: Mapping[str, Backend]
    event_recorder: EventRecorder
    paid_call_recorder: PaidCallRecorder
    prompts: WrittenPrompts
    inputs: Inputs
    fragments: FragmentStore
    outputs: OutputStore
    meter: Meter
    room: Room
    workroot: Path
    """The attempts' folders are in here."""

    async def generate(self, state: AttemptState) -> VideoOutput:
        """Generates and stores the video. Raises what the backend raises, and Superseded."""
        card = state.card
        assert card is not None  # the runner ends attempts without one
        backend = self.backends.get(card.backend)
        if backend is None:
            error = JobError(JobReason.BACKEND_UNKNOWN, f"No backend {card.backend!r} runs here.", retryable=True)
            raise AttemptFailed(error)
        if not state.external_ref:
            self.room(0)  # new work needs free space before it begins or is paid for; paid work may use the rest
        async with workdir(self.workroot) as folder:
            try:
                request = await self._request(state, card, folder)
                return await self._drive(state, card, backend.generate(request), folder)
            except TaskFailed as failure:
                if failure.charge is Charge.NOT_CHARGED:
                    await self.paid_call_recorder.released(state, card.backend, failure.error.reason)
                raise
            finally:
                state.submission_answered.set()

    async def _request(self, state: AttemptState, card: ModelCard, folder: Path) -> GenerationRequest:
        if state.job.spec.written and state.job.written is None and not state.external_ref:
            await self.prompts.write(state, card)
        job = state.job
        picture: bytes | None = None
        inputs: tuple[Input, ...] = ()
        if card.remote is None:
            picture = await self.inputs.picture(job)
        elif not state.external_ref:
            inputs = await self.inputs.files(job, folder)
        return GenerationRequest(
            job_id=job.id,
            number=job.attempt,
            spec=job.spec,
            card=card,
            picture=picture,
            workdir=folder,
            checkpoints=await state.checkpoints.load(),
            prompt=job.prompt,
            negative_prompt=negative_prompt(job, card),
            inputs=inputs,
            submission_id=submission_id(job.id, job.attempt),
            external_ref=state.external_ref,
        )

    async def _drive(
        self, state: AttemptState, card: ModelCard, events: AsyncGenerator[BackendEvent, None], folder: Path
    ) -> VideoOutput:
        """Handles the backend's events up to the output.

        The last fragment is stored and announced while the whole file is probed and stored.
        """
        frames = 0
        last_fragment: asyncio.Task[None] | None = None
        try:
            async with aclosing(events):
                async for event in events:
                    if last_fragment is not None and not isinstance(event, Output):
                        await last_fragment
                        last_fragment = None
                    match event:
                        case Fragment():
                            frames += event.frames
                            storing = self.fragments.store(state, card, event, folder)
                            if frames == state.total_frames:
                                last_fragment = asyncio.create_task(storing)
                            else:
                                await storing
                        case Output():
                            output = await self.outputs.store(state, card, event)
                            if last_fragment is not None:
                                await last_fragment
                            return output
                        case _:
                            await self._record(state, card, event, folder)
            raise RuntimeError("the backend ended without an output")
        finally:
            if last_fragment is not None:
                last_fragment.cancel()
                await asyncio.gather(last_fragment, return_exceptions=True)

    async def _record(
        self,
        state: AttemptState,
        card: ModelCard,
        event: Stage | Continues | Checkpoint | TaskSubmitting | TaskAccepted,
        folder: Path,
    ) -> None:
        match event:
            case Stage(name=name, progress=progress):
                await self.event_recorder.record(state, Progressed(name, progress))
            case Continues(block=block, progress=progress):
                await self.event_recorder.record(state, Continued(block, progress))
                self.meter.continued(state.job)
            case Checkpoint():
                await state.checkpoints.save(event, folder)
            case TaskSubmitting(model=model):
                await self.paid_call_recorder.submitting(state, card.backend, model)
            case TaskAccepted(external_ref=external_ref):
                await self.paid_call_recorder.accepted(state, card.backend, external_ref)
            case _:
                assert_never(event)
