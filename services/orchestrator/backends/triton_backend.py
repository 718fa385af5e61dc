"""The local engine: the pipeline over our models in Triton.

    picture ─▶ image_encoder ─┐                       ┌─▶ vae_decoder ─▶ VideoWriter ─▶ fragments
            └▶ vae_encoder  ──┼─▶ transformer ─blocks─┤        (one sequence a clip)
    prompt  ─▶ text_encoder ──┘                       └─▶ checkpoints

The transformer makes block k+1 while block k is decoded and block k-1 is encoded. The pipeline is here and not inside
Triton, because a cancel would not reach an inner request there; here each model sees it at its next check.

An attempt with checkpoints gives the blocks in them to the transformer, which only reads them into its cache, and sends
them through the decoder again, whose own cache they fill: the same frames come out, and the same fragments.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from services.certificates.certificate_files import CertificateFiles
from services.orchestrator.backends import latent_checkpoints
from services.orchestrator.backends.decoder_clip import STALL_S as CLIP_STALL_S
from services.orchestrator.backends.decoder_clip import DecoderClip, clip_number
from services.orchestrator.backends.engine_check import check_models
from services.orchestrator.backends.input_encoders import InputEncoders, Inputs
from services.orchestrator.backends.served_profile import GenerationPlan, ServedProfile
from services.orchestrator.backends.stream_requests import Requests
from services.orchestrator.backends.transformer_probe import transformer_probe
from services.orchestrator.backends.triton_client import (
    PROBE_AFTER_S,
    Array,
    Arrays,
    EngineOutOfMemory,
    EngineRefused,
    TritonClient,
    request,
)
from services.orchestrator.backends.work_share import DENOISED, ENCODED, done_share
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.event import JobError
from services.orchestrator.domain.spec import Size
from services.orchestrator.media.open_video_writer import open_video_writer
from services.orchestrator.ports.backend import (
    AttemptFailed,
    BackendEvent,
    Checkpoint,
    Continues,
    Fragment,
    GenerationRequest,
    Output,
    Stage,
)
from services.orchestrator.ports.engine_meter import EngineMeter
from services.reasons import JobReason
from services.rpc.client_metrics import ClientMetrics
from services.tracing.spans import during

if TYPE_CHECKING:
    from services.orchestrator.media.video_writer import VideoWriter

REPORT_S = 1.0
"""Seconds between two reports of the progress inside a block."""
NO_METER = EngineMeter()
SLOTS_MOST = 1000
"""Videos at a time that a server may claim to make."""
STALL_S = 900.0
"""Longest silence of the transformer: a CPU's blocks and the wait for a slot are long. Dead processes are seen soon."""


class TritonBackend:
    """Makes videos on a Triton server of ours."""

    def __init__(
        self,
        address: str,
        cards: Callable[[], Sequence[ModelCard]] = tuple,
        *,
        report_s: float = REPORT_S,
        probe_after_s: float = PROBE_AFTER_S,
        stall_s: float = STALL_S,
        clip_stall_s: float = CLIP_STALL_S,
        marked: bool = False,
        tls: CertificateFiles | None = None,
        meter: EngineMeter = NO_METER,
        calls: ClientMetrics | None = None,
        target: str = "",
    ) -> None:
        """`cards` returns the server's. `report_s` is between reports in a block. Silent streams are probed after
        `probe_after_s`, and end after `stall_s`, the decoder's after `clip_stall_s`. `marked` adds the pixel mark.
        `target` is the `name:port` that the address was found by."""
        self._report_s, self._stall_s, self._clip_stall_s = report_s, stall_s, clip_stall_s
        self._engine = TritonClient(address, probe_after_s=probe_after_s, tls=tls, calls=calls, target=target)
        self._meter = meter
        self._cards, self._encoders, self._marked = cards, InputEncoders(self._engine), marked

    async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        """Encodes the inputs and yields what the models make of them. Raises AttemptFailed, Unavailable."""
        try:
            async with aclosing(self._generate(attempt)) as events:
                async for event in events:
                    yield event
        except EngineRefused as refusal:
            raise AttemptFailed(_error(refusal)) from refusal

    async def check(self) -> None:
        """Checks the server, its models and the cards' needs. Raises AttemptFailed, Unavailable."""
        try:
            profile = await self._profile()
            await check_models(self._engine, profile, self._meter)
        except EngineRefused as refusal:
            raise AttemptFailed(_error(refusal)) from refusal
        for card in self._cards():
            profile.check(card)

    async def slots(self) -> int | None:
        """Returns how many videos the transformer makes at a time; None if the server does not say so."""
        found = await self._engine.parameter("transformer", "slots")
        return int(found) if found.isascii() and found.isdecimal() and 0 < int(found) <= SLOTS_MOST else None

    async def close(self) -> None:
        """Gives back the connection."""
        self._meter.closed()
        await self._engine.close()

    async def _generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        size, card = attempt.spec.size, attempt.card
        assert size is not None
        preparing = asyncio.create_task(during("encode", lambda: self._prepare(attempt, size)), name="prepare")
        try:
            yield Stage("encode-inputs", 0.0)  # reported while they are encoded
            profile, plan, made, inputs = await preparing
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)
        done = ENCODED
        if made:
            done = done_share(profile, plan, plan.frames_before(plan.spans[len(made) - 1][1]))
            yield Continues(len(made), done)
        writer = await open_video_writer(size.width, size.height, card.fps, marked=self._marked)
        async with aclosing(self._make(attempt, profile, plan, inputs, made, writer, done)) as events:
            async for event in events:
                yield event
        made_with = {"profile": profile.name, "profile_sha256": profile.digest}
        yield Output(_whole(attempt), made_with=made_with, marked=self._marked)

    async def _prepare(
        self, attempt: GenerationRequest, size: Size
    ) -> tuple[ServedProfile, GenerationPlan, Sequence[Array], Inputs]:
        """Returns the request, the blocks that exist already, and the encoded inputs."""
        profile = await self._profile()
        plan = profile.plan(attempt.card, attempt.spec)
        made = await asyncio.to_thread(latent_checkpoints.history, plan, attempt.checkpoints)
        return profile, plan, made, await self._encoders.encode(attempt, profile, plan, size)

    async def _profile(self) -> ServedProfile:
        answer = await self._engine.infer("profile", {"probe": np.array([1.0, 2.0], np.float32)})
        if answer["echo"].tolist() != [2.0, 4.0]:
            raise EngineRefused("its tensors arrive corrupted; see docs/operations.md, 'numpy'")
        return ServedProfile.parse(answer["profile"].item())

    async def _make(
        self,
        attempt: GenerationRequest,
        profile: ServedProfile,
        plan: GenerationPlan,
        inputs: Inputs,
        made: Sequence[Array],
        writer: "VideoWriter",
        done: float,
    ) -> AsyncGenerator[BackendEvent, None]:
        """Yields checkpoints and fragments as they come, from the blocks that are made already and those that are not.

        A block's checkpoint comes before its fragments, and does not wait for them. The last fragment is announced
        while the whole file is written, and stages while the models work.
        """
        clip = DecoderClip(
            self._engine,
            plan.decoder,
            clip_number(attempt.job_id, attempt.number),
            plan.latents,
            stall_s=self._clip_stall_s,
        )
        events: asyncio.Queue[BackendEvent | None] = asyncio.Queue()
        events.put_nowait(Stage("generate", done))
        shown = 0

        def replay() -> None:
            if plan.given and inputs.image_latent is not None:
                clip.send(inputs.image_latent)
            for block in made:
                clip.send(block)

        async def denoise() -> None:
            if len(made) == len(plan.spans):
                replay()
            before, reported = made[-1] if made else None, asyncio.get_running_loop().time()
            since = reported
            spans = iter(list(enumerate(plan.spans))[len(made) :])
            if len(made) < len(plan.spans):
                async with aclosing(self._blocks(attempt, plan, inputs, made)) as answers:
                    async for answer in answers:
                        block, now = answer["latents"], asyncio.get_running_loop().time()
                        if block.shape[2] == 0:  # progress from inside a block
                            if now >= reported + self._report_s:
                                done = DENOISED * int(answer["forwards"].item()) / int(answer["total"].item())
                                events.put_nowait(Stage("generate", ENCODED + (1 - ENCODED) * done))
                                reported = now
                            continue
                        if not clip.sent:  # not before: the decoder drops a clip that waits long for its next piece
                            replay()
                        index, (start, end) = next(spans, (0, (0, 0)))
                        if block.shape[2] != end - start:
                            raise EngineRefused(f"made a block of {block.shape[2]} latent frames, not {end - start}")
                        events.put_nowait(Checkpoint(index, latent_checkpoints.pack(plan, start, block, before)))
                        clip.send(block)
                        self._meter.block(attempt.card.id, now - since)
                        before, since = block, now
            if clip.sent != plan.latents:
                raise EngineRefused(f"made {clip.sent} latent frames, not {plan.latents}")

        async def decode() -> None:
            nonlocal shown
            async with aclosing(clip.frames()) as pieces:
                async for frames in pieces:
                    if shown + len(frames) >= plan.frames:
                        events.put_nowait(Stage("finish", 1.0))
                    self._meter.decoded(attempt.card.id, clip.took_s, len(frames))
                    began = asyncio.get_running_loop().time()
                    data = await asyncio.to_thread(writer.add, frames)
                    self._meter.encoded(attempt.card.id, asyncio.get_running_loop().time() - began, len(frames))
                    shown += len(frames)
                    events.put_nowait(Fragment(data, len(frames), done_share(profile, plan, shown)))
                    if shown >= plan.frames:
                        break
            if shown != plan.frames:
                raise EngineRefused(f"made {shown} frames, not {plan.frames}")
            await during("mux", lambda: asyncio.to_thread(writer.finish, _whole(attempt)))

        tasks = [asyncio.create_task(during(each.__name__, each), name=each.__name__) for each in (denoise, decode)]
        for task in tasks:
            task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            running = set(tasks)
            while running:
                event = await events.get()
                if event is not None:
                    yield event
                    continue
                ended = {task for task in running if task.done()}
                for task in ended:
                    task.result()
                running -= ended
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            if shown != plan.frames:
                await asyncio.shield(clip.give_up())

    async def _blocks(
        self, attempt: GenerationRequest, plan: GenerationPlan, inputs: Inputs, made: Sequence[Array]
    ) -> AsyncGenerator[Arrays, None]:
        """Yields the transformer's answers. Closing it stops the transformer at its next forward."""
        tensors: dict[str, Array] = {
            "prompt_embeddings": inputs.embeddings,
            "latent_size": np.array(plan.latent_size, np.int32),
            "latent_frames": np.array([plan.latents], np.int32),
            "seed": np.array([attempt.spec.seed], np.int64),
        }
        optional = {
            "negative_embeddings": inputs.negative,
            "image_tokens": inputs.image_tokens,
            "image_latent": inputs.image_latent,
            "history": np.concatenate(made, axis=2) if made else None,
        }
        tensors |= {name: array for name, array in optional.items() if array is not None}
        requests = Requests()
        requests.send(request("transformer", tensors, triton_enable_empty_final_response=True))
        stream = self._engine.stream(requests, single=True, stall_s=self._stall_s, probe=transformer_probe)
        async with aclosing(stream) as answers:
            async for outputs, final in answers:
                if outputs:
                    yield outputs
                if final:
                    return


def _whole(attempt: GenerationRequest) -> Path:
    return attempt.workdir / "video.mp4"


def _error(refusal: EngineRefused) -> JobError:
    if isinstance(refusal, EngineOutOfMemory):
        why = "The local engine has no memory left. The other jobs go on; a smaller size or a shorter video needs less."
        return JobError(JobReason.ENGINE_OUT_OF_MEMORY, why, retryable=True)
    if refusal.invalid:
        return JobError(JobReason.ENGINE_REFUSED, f"The local engine cannot make this: {refusal}", retryable=False)
    return JobError(JobReason.ENGINE_FAILED, f"The local engine: {refusal}", retryable=True)
