"""The local engine: the pipeline over our models in Triton.

    picture ─▶ image_encoder ─┐                       ┌─▶ vae_decoder ─▶ VideoWriter ─▶ fragments
            └▶ vae_encoder  ──┼─▶ transformer ─blocks─┘        (one sequence a clip)
    prompt  ─▶ text_encoder ──┘

The transformer makes block k+1 while block k is decoded and block k-1 is encoded. The pipeline is here and not inside
Triton, because a cancel would not reach an inner request there; here each model sees it at its next check.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass

import numpy as np

from services.errors import Unavailable
from services.orchestrator.backends.tensors import Array, Engine, EngineRefused, Requests, request
from services.orchestrator.domain.event import JobError
from services.orchestrator.domain.spec import ImageToVideo, Size
from services.orchestrator.media.fit import fit, to_pixels
from services.orchestrator.media.video import VideoWriter
from services.orchestrator.ports import Attempt, AttemptFailed, BackendEvent, Fragment, Output, Stage

MODELS = ("tokenizer", "text_encoder", "vae_encoder", "transformer", "vae_decoder", "profile")
ENCODED = 0.05
"""Share of the work that is done when the inputs are encoded, for the progress bar."""
GIVE_UP_S, GIVE_UP_AGAIN_S = 3.0, 0.05


@dataclass(frozen=True, slots=True)
class Profile:
    """What the server serves, in its own words (the Triton model `profile`)."""

    spatial_factor: int
    temporal_factor: int
    block_latents: int
    max_latents: int
    image_encoder: bool
    """Whether there is one: its transformer attends to the picture."""

    @classmethod
    def parse(cls, text: str | bytes) -> "Profile":
        """Reads the model's JSON; what we do not use of it is left alone."""
        told = json.loads(text)
        return cls(**{name: told[name] for name in cls.__dataclass_fields__ if name in told})


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What the encoders make of a request."""

    embeddings: Array
    """(1, L, D) float32."""
    image_tokens: Array | None
    """(1, T, D) float32."""
    image_latent: Array | None
    """(1, C, 1, h, w) float32: latent frame 0 of the video."""


class TritonBackend:
    """Makes videos on a Triton server of ours."""

    def __init__(self, address: str) -> None:
        self._engine = Engine(address)

    async def generate(self, attempt: Attempt) -> AsyncGenerator[BackendEvent, None]:
        """See Backend."""
        try:
            async with aclosing(self._generate(attempt)) as happenings:
                async for happening in happenings:
                    yield happening
        except EngineRefused as refusal:
            raise AttemptFailed(JobError("ENGINE_FAILED", f"The local engine: {refusal}", retryable=True)) from refusal

    async def check(self) -> None:
        """See Backend."""
        for model in MODELS:
            if not await self._engine.ready(model):
                raise Unavailable(f"The model {model} is not ready.", reason="ENGINE_LOADING")

    async def close(self) -> None:
        """Gives back the connection."""
        await self._engine.close()

    async def _generate(self, attempt: Attempt) -> AsyncGenerator[BackendEvent, None]:
        size, card = attempt.spec.size, attempt.card
        assert size is not None
        yield Stage("encode-inputs", 0.0)
        profile = await self._profile()
        total = card.frames(attempt.spec)
        latents = _latents(profile, total)
        inputs = await self._encode(attempt, profile, size)
        yield Stage("generate", ENCODED)
        writer = VideoWriter(size.width, size.height, card.fps)
        made = 0
        async with aclosing(self._frames(attempt, profile, inputs, latents, size)) as decoded:
            async for frames in decoded:
                made += len(frames)
                data = await asyncio.to_thread(writer.add, frames)
                yield Fragment(data, len(frames), ENCODED + (1 - ENCODED) * made / total)
        yield Stage("finish", 1.0)
        path = attempt.workdir / "video.mp4"
        await asyncio.to_thread(writer.finish, path)
        yield Output(path)

    async def _profile(self) -> Profile:
        answer = await self._engine.infer("profile", {"probe": np.array([1.0, 2.0], np.float32)})
        if answer["echo"].tolist() != [2.0, 4.0]:
            raise EngineRefused("its tensors arrive corrupted; see docs/operations.md, 'numpy'")
        return Profile.parse(answer["profile"].item())

    async def _encode(self, attempt: Attempt, profile: Profile, size: Size) -> _Inputs:
        """Runs the three encoders at once."""

        async def text() -> Array:
            prompt = np.array([attempt.spec.operation.prompt.encode()], np.object_)
            tokens = await self._engine.infer("tokenizer", {"prompt": prompt})
            return (await self._engine.infer("text_encoder", tokens))["embeddings"]

        operation = attempt.spec.operation
        if not isinstance(operation, ImageToVideo) or attempt.picture is None:
            return _Inputs(await text(), None, None)
        pixels = to_pixels(await asyncio.to_thread(fit, attempt.picture, size.width, size.height, operation.fit.value))

        async def tokens() -> Array | None:
            if not profile.image_encoder:
                return None
            return (await self._engine.infer("image_encoder", {"pixels": pixels}))["tokens"]

        async def latent() -> Array:
            return (await self._engine.infer("vae_encoder", {"pixels": pixels}))["latent"]

        return _Inputs(*await asyncio.gather(text(), tokens(), latent()))

    async def _frames(
        self, attempt: Attempt, profile: Profile, inputs: _Inputs, latents: int, size: Size
    ) -> AsyncGenerator[Array, None]:
        """Yields (F, H, W, 3) uint8 frames, block by block."""
        to_decode = Requests()
        clip = _clip_id(attempt)

        sent: list[Array] = []

        def decode(block: Array, *, start: bool, end: bool) -> None:
            sent[:] = [block]
            to_decode.send(
                request("vae_decoder", {"latents": block}, sequence_id=clip, sequence_start=start, sequence_end=end)
            )

        async def denoise() -> None:
            """Hands every block on to the decoder as it comes.

            Latent frame 0 goes with the first block: one frame alone is not worth a fragment, and the decoder, which
            holds few clips, is not asked to hold this one while the transformer is busy with others.
            """
            done, ahead = 0, [inputs.image_latent] if inputs.image_latent is not None else []
            async with aclosing(self._blocks(attempt, profile, inputs, latents, size)) as blocks:
                async for block in blocks:
                    ahead.append(block)
                    if len(ahead) == 1 and block.shape[2] == 1 < latents:
                        continue
                    whole = np.concatenate(ahead, axis=2)
                    ahead.clear()
                    decode(whole, start=done == 0, end=done + whole.shape[2] == latents)
                    done += whole.shape[2]
            if done != latents:
                raise EngineRefused(f"made {done} latent frames, not {latents}")

        denoising = asyncio.create_task(denoise(), name=f"denoise-{attempt.job_id}")
        # The decoder waits for blocks for ever, so a failing transformer has to end it.
        denoising.add_done_callback(lambda task: to_decode.close() if _broke(task) else None)
        frames, total = 0, attempt.card.frames(attempt.spec)
        try:
            async with aclosing(self._engine.stream(to_decode.__aiter__())) as answers:
                async for outputs, _ in answers:
                    yield outputs["frames"]
                    frames += len(outputs["frames"])
                    if frames == total:
                        break
            await denoising
            if frames != total:
                raise EngineRefused(f"made {frames} frames, not {total}")
        finally:
            denoising.cancel()
            await asyncio.wait({denoising})
            if frames != total:
                await asyncio.shield(self._give_up(clip, sent[0]) if sent else asyncio.sleep(0))

    async def _blocks(
        self, attempt: Attempt, profile: Profile, inputs: _Inputs, latents: int, size: Size
    ) -> AsyncGenerator[Array, None]:
        """Yields (1, C, f, h, w) float32 latents by blocks. Closing it stops the transformer at its next forward."""
        factor = profile.spatial_factor
        tensors: dict[str, Array] = {
            "prompt_embeddings": inputs.embeddings,
            "latent_size": np.array([size.height // factor, size.width // factor], np.int32),
            "latent_frames": np.array([latents], np.int32),
            "seed": np.array([attempt.spec.seed], np.int64),
        }
        if inputs.image_latent is not None:
            tensors["image_latent"] = inputs.image_latent
        if inputs.image_tokens is not None:
            tensors["image_tokens"] = inputs.image_tokens
        requests = Requests()
        requests.send(request("transformer", tensors, triton_enable_empty_final_response=True))
        async with aclosing(self._engine.stream(requests.__aiter__())) as answers:
            async for outputs, final in answers:
                if outputs:
                    yield outputs["latents"]
                if final:
                    return

    async def _give_up(self, clip: int, block: Array) -> None:
        """Tells the decoder to forget a clip that will not be finished; if it cannot be told, it forgets by itself.

        Triton ends the sequence with the cancelled stream, without a word to the model, and answers emptily until that
        is done. So a new sequence of the same number, of nothing, is begun and ended until the model itself answers.
        """
        nothing = {"latents": block[:, :, :0]}
        with suppress(Unavailable, EngineRefused, TimeoutError):
            async with asyncio.timeout(GIVE_UP_S):
                told = False
                while not told:
                    goodbye = Requests()
                    goodbye.send(
                        request("vae_decoder", nothing, sequence_id=clip, sequence_start=True, sequence_end=True)
                    )
                    async with aclosing(self._engine.stream(goodbye.__aiter__())) as answers:
                        told = "frames" in (await anext(answers))[0]
                    await asyncio.sleep(GIVE_UP_AGAIN_S)


def _latents(profile: Profile, frames: int) -> int:
    """Returns how many latent frames make so many frames. Raises EngineRefused when no whole number of blocks does."""
    latents, rest = divmod(frames - 1, profile.temporal_factor)
    if rest or latents % profile.block_latents or latents + 1 > profile.max_latents:
        raise EngineRefused(f"its profile cannot make {frames} frames; the card and the profile disagree")
    return latents + 1


def _clip_id(attempt: Attempt) -> int:
    digest = hashlib.sha256(f"{attempt.job_id}:{attempt.number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1 or 1  # Triton takes a positive signed number


def _broke(task: asyncio.Task[None]) -> bool:
    return task.cancelled() or task.exception() is not None
