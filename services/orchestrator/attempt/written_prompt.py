"""The prompt that a language model writes from a job's scene."""

import asyncio
from dataclasses import dataclass

from services.orchestrator.attempt.event_recorder import EventRecorder
from services.orchestrator.attempt.state import AttemptState
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.event import JobError, Progressed, Retrying
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.spec import SceneAnimation, TalkingAvatar
from services.orchestrator.ports.backend import AttemptFailed
from services.orchestrator.ports.job_events import JobEvents
from services.orchestrator.ports.prompt_writer import ModelDown, PromptWriter
from services.reasons import SpecReason

STOP_WAIT_S = 20.0
"""Seconds that an attempt that must stop waits for its prompt."""
PROMPT_MAX_CHARACTERS = 2500
"""The longest prompt that is requested."""
CALLS_MAX = 6
"""How often a language model that does not answer is called for one job: each call may cost."""
EVENTS_MAX = 10_000
"""Events of a job that are read to count the calls."""


@dataclass(frozen=True, slots=True)
class WrittenPrompts:
    """Has prompts written from scenes."""

    job_events: JobEvents
    event_recorder: EventRecorder
    writer: PromptWriter | None
    """None if no prompt writer is configured."""

    async def write(self, state: AttemptState, card: ModelCard) -> None:
        """Has the job's prompt written and recorded.

        An attempt that must stop waits a while for the prompt: it is paid for, and the ledger must show it.

        Raises:
            AttemptFailed: the prompt cannot be written.
            Superseded, Unavailable, ModelDown
        """
        writing = asyncio.create_task(self._write(state, card))
        try:
            state.job = await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing}, timeout=STOP_WAIT_S)
            raise
        finally:
            writing.cancel()
            await asyncio.wait({writing})
            if not writing.cancelled():
                writing.exception()  # marks it as retrieved, where the attempt stops

    async def _write(self, state: AttemptState, card: ModelCard) -> Job:
        operation = state.job.spec.operation
        assert isinstance(operation, SceneAnimation | TalkingAvatar)
        if self.writer is None:
            error = JobError(SpecReason.PROMPT_WRITER_MISSING, "No prompt writer is reached from here.", retryable=True)
            raise AttemptFailed(error)
        await self.event_recorder.record(state, Progressed("write-prompt", 0.0))
        limit = card.prompt_max_characters
        if card.remote is not None and card.remote.written_prompt_max_characters is not None:
            limit = card.remote.written_prompt_max_characters
        limit = min(limit, PROMPT_MAX_CHARACTERS)
        # By the job's id: if this process ends before the prompt is recorded, the next attempt gets the same one.
        try:
            written = await self.writer.write(operation.kind, operation.scene, limit, state.job.id)
        except ModelDown as error:
            if await self._failed_calls(state.job, error.reason) + 1 >= CALLS_MAX:
                raise AttemptFailed(JobError(error.reason, error.message, retryable=True)) from None
            raise
        return await self.event_recorder.record(state, written)

    async def _failed_calls(self, job: Job, reason: str) -> int:
        """Returns how many earlier attempts failed for the same reason."""
        events = await self.job_events.read(job.id, after=0, limit=EVENTS_MAX)
        retries = [event.body for event in events if isinstance(event.body, Retrying)]
        return sum(retry.error.reason == reason for retry in retries)


def negative_prompt(job: Job, card: ModelCard) -> str | None:
    """Returns the spec's negative prompt, or else the written one if the model takes one."""
    given = job.spec.negative_prompt
    if given is not None or job.written is None or not job.written.negative_prompt:
        return given
    if card.remote is None or "negative-prompt" not in card.remote.takes:
        return None
    return job.written.negative_prompt[: card.remote.negative_prompt_max_characters]
