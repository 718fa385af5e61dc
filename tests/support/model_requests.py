"""Requests to the served models of nano: a video of the transformer, and a clip of a decoder."""

from itertools import count
from typing import Any

import numpy as np

from tests.support.triton_wire import Arrays, Stream, infer
from tools.export import profile_file as profiles

NANO = profiles.load("nano")
LENGTH = NANO.text_encoder.length
DECODERS = ("vae_decoder", "vae_decoder_tiny")

sequence_ids = count(1)
"""No two tests use the same id of a clip."""


def a_request(height: int = 8, width: int = 12, frames: int = 5, **changes: np.ndarray | None) -> Arrays:
    rng = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    made = {
        "prompt_embeddings": random(1, LENGTH, 128),
        "image_tokens": random(1, 37, 128),
        "image_latent": random(1, 16, 1, height, width),
        "latent_size": np.array([height, width], np.int32),
        "latent_frames": np.array([frames], np.int32),
        "seed": np.array([7]),
    } | changes
    return {name: array for name, array in made.items() if array is not None}


async def rollout(stub: Any, request: Arrays) -> list[Arrays]:
    stream = Stream(stub, "transformer", request)
    responses = [each async for each in stream]
    assert stream.finals == 1
    return responses


async def decode(
    stub: Any, key: int, latents: np.ndarray, *, start: bool = False, end: bool = False, model: str = DECODERS[0]
) -> np.ndarray:
    parameters = {"sequence_id": key, "sequence_start": start, "sequence_end": end}
    return (await infer(stub, model, {"latents": latents}, **parameters))["frames"]


def some_latents(frames: int, key: int, height: int = 4, width: int = 6) -> np.ndarray:
    return np.random.default_rng(key).standard_normal((1, 16, frames, height, width), dtype=np.float32)
