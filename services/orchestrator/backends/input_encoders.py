"""The encoders of the local engine: what the transformer is given of a request, its texts and its picture."""

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from services.orchestrator.backends.embedding_cache import EmbeddingCache
from services.orchestrator.backends.served_profile import BIDIRECTIONAL, GenerationPlan, ServedProfile
from services.orchestrator.backends.triton_client import ENCODE_S, Array, Arrays, TritonClient
from services.orchestrator.domain.spec import ImageToVideo, Size
from services.orchestrator.media.fit import fit, to_pixels
from services.orchestrator.ports.backend import GenerationRequest


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the encoders make of a request."""

    embeddings: Array
    """(1, L, D) float32."""
    negative: Array | None
    """The same, of the negative prompt."""
    image_tokens: Array | None
    """(1, T, D) float32."""
    image_latent: Array | None
    """(1, C, 1, h, w) float32: latent frame 0 of the video; of a bidirectional profile, (1, C, n, h, w)."""


class InputEncoders:
    """The encoders of one engine, with a cache."""

    def __init__(self, engine: TritonClient) -> None:
        self._engine = engine
        self._prompts, self._pictures = EmbeddingCache(), EmbeddingCache()

    async def encode(
        self, attempt: GenerationRequest, profile: ServedProfile, plan: GenerationPlan, size: Size
    ) -> Inputs:
        """Returns what they make of a request; all run concurrently. Raises Unavailable, EngineRefused."""
        texts = [attempt.spec.operation.prompt, *([profile.negative_prompt] if profile.guidance > 1 else [])]
        (positive, *negative), picture = await asyncio.gather(
            asyncio.gather(*(self._text(profile, text) for text in texts)), self._picture(attempt, profile, plan, size)
        )
        return Inputs(positive, negative[0] if negative else None, picture.get("tokens"), picture.get("latent"))

    async def _text(self, profile: ServedProfile, text: str) -> Array:
        async def encode() -> Arrays:
            tokens = await self._engine.infer("tokenizer", {"prompt": np.array([text.encode()], np.object_)})
            async with self._engine.borrowed("text_encoder") if profile.text_on_demand else nullcontext():
                return await self._engine.infer("text_encoder", tokens, within_s=ENCODE_S)

        return (await self._prompts.get(profile.digest, text.encode(), encode))["embeddings"]

    async def _picture(
        self, attempt: GenerationRequest, profile: ServedProfile, plan: GenerationPlan, size: Size
    ) -> Arrays:
        operation, picture = attempt.spec.operation, attempt.picture
        if not isinstance(operation, ImageToVideo) or picture is None:
            return {}

        async def encode() -> Arrays:
            rgb = await asyncio.to_thread(fit, picture, size.width, size.height, operation.fit.value)
            inputs_by_model: dict[str, Arrays] = {"vae_encoder": {"pixels": to_pixels(rgb)}}
            if profile.image_encoder:
                inputs_by_model["image_encoder"] = dict(inputs_by_model["vae_encoder"])
            if profile.pipeline == BIDIRECTIONAL:
                inputs_by_model["vae_encoder"]["latent_frames"] = np.array([plan.latents], np.int32)
            answers = await asyncio.gather(
                *(self._engine.infer(model, inputs, within_s=ENCODE_S) for model, inputs in inputs_by_model.items())
            )
            return {name: array for answer in answers for name, array in answer.items()}

        key = f"{size} {operation.fit} {plan.latents} ".encode() + picture
        return await self._pictures.get(profile.digest, key, encode)
