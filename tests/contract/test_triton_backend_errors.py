"""The pipeline over a scripted Triton: how it fails, and what of it is retried."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from services.errors import Unavailable
from services.orchestrator.backends.served_profile import ServedProfile
from services.orchestrator.backends.triton_backend import TritonBackend
from services.orchestrator.meters.engine_metrics import EngineMetrics
from services.orchestrator.ports.backend import (
    AttemptFailed,
    Checkpoint,
    GenerationRequest,
)
from tests.support.scripted_triton import ScriptedTriton, serving
from tests.support.triton_backend_rig import PICTURE, TritonRig, a_spec, a_triton_rig, failure, of, the_card

Code = grpc.StatusCode


@pytest.fixture
def triton() -> ScriptedTriton:
    return ScriptedTriton()


@pytest.fixture
async def rig(triton: ScriptedTriton, tmp_path: Path) -> AsyncIterator[TritonRig]:
    async with a_triton_rig(triton, tmp_path) as made:
        yield made


@pytest.mark.parametrize("model", ["text_encoder", "transformer", "vae_decoder"])
@pytest.mark.parametrize(
    ("code", "text", "found"),
    [
        (Code.INTERNAL, "OUT_OF_MEMORY: 3 GB more are needed", ("ENGINE_OUT_OF_MEMORY", True)),
        (Code.UNAVAILABLE, "OUT_OF_MEMORY: there is no room for the video", ("ENGINE_OUT_OF_MEMORY", True)),
        (Code.INVALID_ARGUMENT, "INVALID: latent_frames must be at most 21", ("ENGINE_REFUSED", False)),
        (Code.INTERNAL, "ValueError: what is this", ("ENGINE_FAILED", True)),
    ],
)
async def test_a_models_error_has_its_reason_and_may_be_retryable(
    rig: TritonRig, triton: ScriptedTriton, model: str, code: Code, text: str, found: tuple[str, bool]
) -> None:
    triton.fail[model] = (code, text)
    with pytest.raises(AttemptFailed) as caught:
        await rig.events(a_spec(), the_card())
    assert failure(caught) == found
    assert "INVALID" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "code", "text", "reason"),
    [
        ("vae_decoder", Code.UNAVAILABLE, "there is no room for another clip", "ENGINE_BUSY"),
        ("transformer", Code.UNAVAILABLE, "Exceeds maximum queue size", "ENGINE_BUSY"),
        ("transformer", Code.UNAVAILABLE, "Socket closed", "ENGINE_UNREACHABLE"),
        ("transformer", Code.INTERNAL, "Stub process 'transformer_0_0' is not healthy.", "ENGINE_UNREACHABLE"),
        ("vae_decoder", Code.INTERNAL, "Stub process 'vae_decoder_0_0' is not healthy.", "ENGINE_UNREACHABLE"),
        ("text_encoder", Code.INTERNAL, "Stub process 'text_encoder_0_0' is not healthy.", "ENGINE_UNREACHABLE"),
        ("vae_decoder", Code.INVALID_ARGUMENT, "sequence 7 is unknown: it was never started, has ended", "ENGINE_BUSY"),
        ("vae_decoder", Code.INVALID_ARGUMENT, "correlation ID 7 must specify the START flag on", "ENGINE_BUSY"),
        ("transformer", Code.INTERNAL, "Internal error from Core", "ENGINE_UNREACHABLE"),
    ],
)
async def test_a_temporary_error_is_retried(
    rig: TritonRig, triton: ScriptedTriton, model: str, code: Code, text: str, reason: str
) -> None:
    triton.fail[model] = (code, text)
    with pytest.raises(Unavailable) as caught:
        await rig.events(a_spec(), the_card())
    assert caught.value.reason == reason


async def test_blocks_made_before_a_failure_are_kept(rig: TritonRig, triton: ScriptedTriton) -> None:
    triton.fail["transformer"], triton.fail_after = (Code.UNAVAILABLE, "Socket closed"), 3
    card, seen = the_card(durations_ms=(2000,)), []
    attempt = GenerationRequest("job", 1, a_spec(card), card, PICTURE, rig.workdir)
    with pytest.raises(Unavailable):
        async for event in rig.backend.generate(attempt):
            seen.append(event)
    assert [event.index for event in of(Checkpoint, seen)] == [0, 1, 2]


async def test_a_check_of_the_engine_finds_a_card_beyond_its_profile(rig: TritonRig, triton: ScriptedTriton) -> None:
    await rig.backend.check()
    triton.not_ready.add("vae_decoder")
    with pytest.raises(Unavailable):
        await rig.backend.check()
    triton.not_ready.clear()
    triton.profile["max_latents"] = 5
    with pytest.raises(AttemptFailed, match="promises 33 frames") as caught:
        await rig.backend.check()
    assert failure(caught) == ("PROFILE_MISMATCH", False)


@pytest.mark.parametrize("model", ["transformer", "vae_decoder"])
@pytest.mark.parametrize("after", [0, 2])
async def test_a_dead_process_of_a_model_is_detected(
    triton: ScriptedTriton, tmp_path: Path, model: str, after: int
) -> None:
    triton.silent, triton.dead, triton.fail_after = {model}, True, after
    async with serving(triton) as address:
        backend = TritonBackend(
            address, probe_after_s=0.1, meter=EngineMetrics(registry := CollectorRegistry()).of("t", "a:1")
        )
        card = the_card(durations_ms=(2000,))
        with pytest.raises(Unavailable, match="has died") as caught:
            async with asyncio.timeout(90):
                await TritonRig(backend, tmp_path).events(a_spec(card), card)
        with pytest.raises(Unavailable, match="has died"):
            await backend.check()
        assert caught.value.reason == "ENGINE_UNREACHABLE"
        parts = ("transformer", "vae_decoder", "vae_encoder")

        def ready(part: str) -> float | None:
            labels = {"backend": "t", "server": "a:1", "part": part}
            return registry.get_sample_value("i2v_engine_model_ready", labels)

        assert [ready(each) for each in parts] == [float(each != model) for each in parts]
        await backend.close()
    assert [ready(each) for each in parts] == [None] * 3, "it is not used any more"


@pytest.mark.parametrize(("model", "limit"), [("transformer", "stall_s"), ("vae_decoder", "clip_stall_s")])
async def test_a_model_that_does_not_answer_ends_in_a_timeout(
    triton: ScriptedTriton, tmp_path: Path, model: str, limit: str
) -> None:
    triton.silent = {model}
    async with serving(triton) as address:
        limits: dict[str, Any] = {limit: 0.5}
        backend = TritonBackend(address, probe_after_s=0.1, **limits)
        with pytest.raises(Unavailable, match="does not answer"):
            async with asyncio.timeout(90):
                await TritonRig(backend, tmp_path).events(a_spec(), the_card())
        await backend.check()
        await backend.close()
    assert triton.probes.count(model) >= 2


async def test_the_decoder_gets_the_history_only_when_the_transformer_has_answered(
    triton: ScriptedTriton, tmp_path: Path
) -> None:
    async with serving(triton) as address:
        backend = TritonBackend(address, probe_after_s=0.1)
        rig, card = TritonRig(backend, tmp_path), the_card(durations_ms=(2000,))
        checkpoints = [event.data for event in of(Checkpoint, await rig.events(a_spec(card), card))]
        pieces = len(triton.of("vae_decoder"))
        triton.silent, triton.dead = {"transformer"}, True
        with pytest.raises(Unavailable):
            await rig.events(a_spec(card), card, 2, *checkpoints[:2])
        await backend.close()
    assert len(triton.of("vae_decoder")) == pieces


@pytest.mark.parametrize(
    "change",
    [{"name": 3}, {"block_latents": "2"}, {"temporal_factor": 0}, {"decoders": ["vae_decoder"]}, {"guidance": None}],
)
async def test_an_invalid_profile_is_refused(rig: TritonRig, triton: ScriptedTriton, change: dict[str, Any]) -> None:
    triton.profile |= change
    with pytest.raises(AttemptFailed, match=f"cannot be read .{next(iter(change))} is") as caught:
        await rig.events(a_spec(), the_card())
    assert failure(caught) == ("PROFILE_MISMATCH", False)
    with pytest.raises(AttemptFailed, match="cannot be read"):
        await rig.backend.check()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"name": "tiny"}', "[" * 100_000])
def test_a_profile_of_another_version_is_refused(text: str) -> None:
    with pytest.raises(AttemptFailed, match="cannot be read"):
        ServedProfile.parse(text)


async def test_a_load_without_memory_is_retried(rig: TritonRig, triton: ScriptedTriton) -> None:
    triton.profile["text_on_demand"] = True
    triton.load_fails = (Code.INTERNAL, "failed to load 'text_encoder': CUDA out of memory")
    with pytest.raises(Unavailable) as caught:
        await rig.events(a_spec(), the_card())
    assert caught.value.reason == "ENGINE_BUSY"


async def test_a_cancelled_load_is_undone(rig: TritonRig, triton: ScriptedTriton) -> None:
    triton.profile["text_on_demand"], triton.load_hangs = True, True
    making = asyncio.create_task(rig.events(a_spec(), the_card()))
    while not triton.loaded:  # noqa: ASYNC110  The scripted Triton has no event for it.
        await asyncio.sleep(0.01)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert triton.loaded == ["+text_encoder", "-text_encoder"]
