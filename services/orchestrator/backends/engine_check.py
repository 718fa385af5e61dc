"""Whether each model of a Triton server answers."""

import asyncio
from typing import Any

import numpy as np

from services.errors import Unavailable
from services.orchestrator.backends.decoder_clip import probe_request
from services.orchestrator.backends.served_profile import ServedProfile
from services.orchestrator.backends.triton_client import Array, ModelDied, TritonClient, request
from services.orchestrator.ports.engine_meter import EngineMeter
from services.reasons import JobReason

TRANSFORMER = "transformer"


async def check_models(engine: TritonClient, profile: ServedProfile, meter: EngineMeter) -> None:
    """Checks the models of a profile, and shows each one's state. Raises Unavailable, EngineRefused."""
    loaded = {model: await engine.ready(model) for model in profile.models}
    probes = {TRANSFORMER: transformer_probe()} | {name: probe_request(name) for name in profile.decoders.values()}
    probes = {model: probe for model, probe in probes.items() if loaded.get(model, True)}
    found = await asyncio.gather(*map(engine.probe_model, probes.values()), return_exceptions=True)
    dead = {model for model, error in zip(probes, found, strict=True) if isinstance(error, ModelDied)}
    for model, ready in loaded.items():
        meter.served(model, ready=ready and model not in dead)
    for model, ready in loaded.items():
        if not ready:
            raise Unavailable(f"The model {model} is not ready.", reason=JobReason.ENGINE_LOADING)
    for error in found:
        if error is not None:
            raise error


def transformer_probe() -> Any:
    """Returns a request that the transformer refuses before any work. See TritonClient.probe_model."""
    tensors: dict[str, Array] = {
        "prompt_embeddings": np.zeros((1, 1, 1), np.float32),
        "latent_size": np.zeros(2, np.int32),
        "latent_frames": np.zeros(1, np.int32),
        "seed": np.zeros(1, np.int64),
    }
    return request(TRANSFORMER, tensors, triton_enable_empty_final_response=True)
