"""Whether each model of a Triton server answers."""

import asyncio

from services.errors import Unavailable
from services.orchestrator.backends.decoder_clip import probe_request
from services.orchestrator.backends.served_profile import ServedProfile
from services.orchestrator.backends.transformer_probe import transformer_probe
from services.orchestrator.backends.triton_client import ModelDied, TritonClient
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
