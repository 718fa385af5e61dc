"""The pipeline over a Triton that does as it is told: what it asks for, what it yields, and how it fails."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.errors import Unavailable
from services.orchestrator.backends.served_profile import ServedProfile
from services.orchestrator.backends.triton_backend import TritonBackend
from services.orchestrator.domain.card import EngineNeeds, ModelCard
from services.orchestrator.domain.spec import FAST, QUALITY, ImageToVideo, Size, Spec, TextToVideo
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
from tests.support import pictures
from tests.support.builders import a_card
from tests.support.scripted_triton import ScriptedTriton, serving

Code = grpc.StatusCode
PICTURE = pictures.a_picture(64, 64)
SECOND = 17
"""Frames of a second, the first among them: five latents."""


@pytest.fixture
def triton() -> ScriptedTriton:
    return ScriptedTriton()


@dataclass
class Rig:
    backend: TritonBackend
    workdir: Path

    async def events(self, spec: Spec, card: ModelCard, number: int = 1, *given: bytes) -> list[BackendEvent]:
        picture = PICTURE if isinstance(spec.operation, ImageToVideo) else None
        attempt = GenerationRequest("job", number, spec, card, picture, self.workdir, tuple(given))
        async with aclosing(self.backend.generate(attempt)) as happenings:
            return [happening async for happening in happenings]

    def video(self) -> str:
        return hashlib.sha256((self.workdir / "video.mp4").read_bytes()).hexdigest()


@pytest.fixture
async def rig(triton: ScriptedTriton, tmp_path: Path) -> AsyncIterator[Rig]:
    async with serving(triton) as address:
        backend = TritonBackend(address, lambda: [the_card()])
        yield Rig(backend, tmp_path)
        await backend.close()


def the_card(**changes: Any) -> ModelCard:
    values = {"id": "tiny", "backend": "triton", "sizes": (Size(32, 32),), "fps": 16, "extra_frames": 1}
    return a_card(**values | {"engine": EngineNeeds("tiny")} | changes)


def a_spec(card: ModelCard | None = None, *, text: bool = False, **changes: Any) -> Spec:
    operation = TextToVideo("waves") if text else ImageToVideo("a" * 64, "it moves")
    spec = (card or the_card()).complete(Spec("tiny", operation, seed=7), seed=None, picture=None)
    return replace(spec, **changes)


def of(kind: type, events: list[BackendEvent]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def failure(caught: pytest.ExceptionInfo[AttemptFailed]) -> tuple[str, bool]:
    return caught.value.error.reason, caught.value.error.retryable


async def test_a_picture_goes_through_all_models_and_comes_back_in_pieces(rig: Rig, triton: ScriptedTriton) -> None:
    events = await rig.events(a_spec(), the_card())
    assert [event.frames for event in of(Fragment, events)] == [9, 8]
    assert [event.index for event in of(Checkpoint, events)] == [0, 1]
    progress = [event.progress for event in events if isinstance(event, Stage | Fragment)]
    assert progress == sorted(progress) and progress[-1] == 1.0
    assert isinstance(events[-1], Output)
    (asked,) = triton.of("transformer")
    assert {"image_latent", "image_tokens"} <= set(asked) and not {"history", "negative_embeddings"} & set(asked)


@pytest.mark.parametrize("text", [False, True], ids=["picture", "text"])
@pytest.mark.parametrize("kept", [1, 2])
async def test_a_later_attempt_has_only_the_rest_made_and_the_same_comes_out(
    rig: Rig, triton: ScriptedTriton, text: bool, kept: int
) -> None:
    card = the_card()
    whole = await rig.events(a_spec(text=text), card)
    video, checkpoints = rig.video(), [event.data for event in of(Checkpoint, whole)]
    again = await rig.events(a_spec(text=text), card, 2, *checkpoints[:kept])
    assert [event.block for event in of(Continues, again)] == [kept]
    assert [event.index for event in of(Checkpoint, again)] == list(range(kept, len(checkpoints)))
    assert of(Fragment, again) == of(Fragment, whole) and rig.video() == video
    assert [event.data for event in of(Checkpoint, again)] == checkpoints[kept:]
    begun = of(Continues, again)[0].progress
    assert all(event.progress >= begun for event in again[2:] if isinstance(event, Stage)), "the bar does not go back"
    asked = triton.of("transformer")[1:]
    if kept < len(checkpoints):
        assert asked[0]["history"].shape[2] == (2 * kept if not text else 2 * kept - 1)
    else:
        assert not asked, "everything was there"


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[:-1],
        lambda data: data[:-8] + b"\x00" * 8,
        lambda data: b"",
        lambda data: b"nonsense",
        lambda data: b"{}\n" + data,
        lambda data: b"[" * 100_000 + data,
        lambda data: b'{"shape": [1e999]}\n' + data,
        lambda data: b'{"shape": [1, 4, 2, 4611686018427387904, 4]}\n' + data,
        lambda data: data.replace(b'"start": 3', b'"start": 1'),
    ],
)
async def test_a_checkpoint_that_is_not_good_is_made_again_with_all_after_it(
    rig: Rig, triton: ScriptedTriton, harm: Any
) -> None:
    card = the_card(durations_ms=(2000,))
    whole = await rig.events(a_spec(card), card)
    video, checkpoints = rig.video(), [event.data for event in of(Checkpoint, whole)]
    assert harm(checkpoints[1]) != checkpoints[1]
    again = await rig.events(a_spec(card), card, 2, checkpoints[0], harm(checkpoints[1]), *checkpoints[2:])
    assert [event.block for event in of(Continues, again)] == [1]
    assert rig.video() == video


async def test_checkpoints_of_another_profile_seed_or_history_are_not_used(rig: Rig, triton: ScriptedTriton) -> None:
    card = the_card(durations_ms=(2000,))
    first = [event.data for event in of(Checkpoint, await rig.events(a_spec(card), card))]
    other = await rig.events(a_spec(card, seed=8), card, 2, *first)
    assert of(Continues, other) == []
    second = [event.data for event in of(Checkpoint, other)]
    mixed = await rig.events(a_spec(card), card, 2, first[0], second[1])
    assert [event.block for event in of(Continues, mixed)] == [1]
    triton.profile["digest"] = "d2"
    assert of(Continues, await rig.events(a_spec(card), card, 2, *first)) == []


@pytest.mark.parametrize(
    ("card", "spec", "says"),
    [
        (the_card(engine=EngineNeeds("other")), {}, "'tiny', but the model 'tiny' needs the profile 'other'"),
        (the_card(), {"quality": FAST}, "offers the quality 'fast'; the profile has quality"),
        (the_card(sizes=(Size(40, 32),)), {}, "offers 40x32; the profile makes sides that 16 divides"),
        (the_card(durations_ms=(8000,)), {}, "promises 129 frames; the profile makes 1 + 4 k frames, at most 81"),
        (the_card(extra_frames=0), {}, "promises 16 frames"),
        (the_card(durations_ms=(750,)), {}, "promises 4 latent frames from a picture; the profile makes 1 + 2 k"),
    ],
)
async def test_a_card_that_the_profile_cannot_keep_fails_the_job_and_says_both_sides(
    rig: Rig, card: ModelCard, spec: dict[str, Any], says: str
) -> None:
    with pytest.raises(AttemptFailed, match=re.escape(says)) as caught:
        await rig.events(a_spec(card, **spec), card)
    assert failure(caught) == ("PROFILE_MISMATCH", False)


async def test_a_block_wise_profile_divides_texts_and_pictures_otherwise(rig: Rig, triton: ScriptedTriton) -> None:
    triton.profile |= {"block_latents": 3, "independent_first_frame": False}
    card = the_card(durations_ms=(2000,), durations_ms_by_operation={"image-to-video": (2250,)})
    events = await rig.events(a_spec(card, text=True), card)
    assert [event.frames for event in of(Fragment, events)] == [9, 12, 12]
    events = await rig.events(a_spec(card), card)
    assert [event.frames for event in of(Fragment, events)] == [13, 12, 12]
    with pytest.raises(AttemptFailed, match="9 latent frames from a picture"):
        await rig.events(a_spec(card, duration_ms=2000), card)


async def test_a_bidirectional_profile_makes_one_block_and_shows_how_far_it_is(
    rig: Rig, triton: ScriptedTriton
) -> None:
    triton.profile |= {"pipeline": "bidirectional", "guidance": 5.0, "negative_prompt": "blurred"}
    triton.signs = 4
    card = the_card()
    events = await rig.events(a_spec(), card)
    assert [event.frames for event in of(Fragment, events)] == [9, 8]
    assert [event.index for event in of(Checkpoint, events)] == [0]
    progress = [event.progress for event in events if isinstance(event, Stage | Fragment)]
    assert progress == sorted(progress)
    assert of(Fragment, events)[0].progress > 0.9
    assert len(of(Stage, events)) == 3, "signs of life come at most once a second"
    (asked,) = triton.of("transformer")
    assert asked["image_latent"].shape[2] == 5
    assert asked["negative_embeddings"].shape == asked["prompt_embeddings"].shape
    assert [each["prompt"].item() for each in triton.of("tokenizer")] == [b"it moves", b"blurred"]


async def test_the_progress_inside_a_block_is_told(triton: ScriptedTriton, tmp_path: Path) -> None:
    triton.profile |= {"pipeline": "bidirectional"}
    triton.signs = 3
    async with serving(triton) as address:
        backend = TritonBackend(address, report_s=0)
        events = await Rig(backend, tmp_path).events(a_spec(), the_card())
        await backend.close()
    progress = [event.progress for event in events if isinstance(event, Stage | Fragment)]
    assert progress == sorted(progress)
    assert [round(event.progress, 3) for event in of(Stage, events)] == [0.0, 0.05, 0.335, 0.62, 0.905, 1.0]


async def test_the_quality_chooses_the_decoder(rig: Rig, triton: ScriptedTriton) -> None:
    triton.profile["decoders"] = {QUALITY: "vae_decoder", FAST: "vae_decoder_tiny"}
    await rig.events(a_spec(quality=FAST), the_card())
    assert triton.of("vae_decoder_tiny") and not triton.of("vae_decoder")


async def test_a_prompt_and_a_picture_are_encoded_once(rig: Rig, triton: ScriptedTriton) -> None:
    card = the_card()
    for seed in range(2):
        await rig.events(a_spec(seed=seed), card)
    assert len(triton.of("text_encoder")) == len(triton.of("vae_encoder")) == len(triton.of("image_encoder")) == 1
    triton.profile["digest"] = "d2"
    await rig.events(a_spec(), card)
    assert len(triton.of("text_encoder")) == len(triton.of("vae_encoder")) == 2


async def test_a_text_encoder_on_demand_is_there_only_while_it_is_needed(rig: Rig, triton: ScriptedTriton) -> None:
    triton.profile["text_on_demand"] = True
    triton.not_ready.add("text_encoder")
    await rig.backend.check()
    await rig.events(a_spec(), the_card())
    assert triton.loaded == ["+text_encoder", "-text_encoder"]


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
async def test_a_models_error_says_what_to_do(
    rig: Rig, triton: ScriptedTriton, model: str, code: Code, text: str, found: tuple[str, bool]
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
async def test_what_passes_is_tried_again(
    rig: Rig, triton: ScriptedTriton, model: str, code: Code, text: str, reason: str
) -> None:
    triton.fail[model] = (code, text)
    with pytest.raises(Unavailable) as caught:
        await rig.events(a_spec(), the_card())
    assert caught.value.reason == reason


async def test_what_was_made_before_a_failure_is_kept(rig: Rig, triton: ScriptedTriton) -> None:
    triton.fail["transformer"], triton.fail_after = (Code.UNAVAILABLE, "Socket closed"), 3
    card, seen = the_card(durations_ms=(2000,)), []
    attempt = GenerationRequest("job", 1, a_spec(card), card, PICTURE, rig.workdir)
    with pytest.raises(Unavailable):
        async for event in rig.backend.generate(attempt):
            seen.append(event)
    assert [event.index for event in of(Checkpoint, seen)] == [0, 1, 2]


async def test_a_look_at_the_engine_finds_what_a_card_cannot_have(rig: Rig, triton: ScriptedTriton) -> None:
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
async def test_a_model_that_died_in_silence_is_noticed(
    triton: ScriptedTriton, tmp_path: Path, model: str, after: int
) -> None:
    triton.silent, triton.dead, triton.fail_after = {model}, True, after
    async with serving(triton) as address:
        backend = TritonBackend(address, probe_after_s=0.1)
        card = the_card(durations_ms=(2000,))
        with pytest.raises(Unavailable, match="has died") as caught:
            async with asyncio.timeout(90):
                await Rig(backend, tmp_path).events(a_spec(card), card)
        with pytest.raises(Unavailable, match="has died"):
            await backend.check()
        await backend.close()
    assert caught.value.reason == "ENGINE_UNREACHABLE"


@pytest.mark.parametrize(("model", "limit"), [("transformer", "stall_s"), ("vae_decoder", "clip_stall_s")])
async def test_silence_has_an_end_though_the_process_is_there(
    triton: ScriptedTriton, tmp_path: Path, model: str, limit: str
) -> None:
    triton.silent = {model}
    async with serving(triton) as address:
        limits: dict[str, Any] = {limit: 0.5}
        backend = TritonBackend(address, probe_after_s=0.1, **limits)
        with pytest.raises(Unavailable, match="does not answer"):
            async with asyncio.timeout(90):
                await Rig(backend, tmp_path).events(a_spec(), the_card())
        await backend.check()
        await backend.close()
    assert triton.looks.count(model) >= 2


async def test_the_decoder_gets_the_history_only_when_the_transformer_has_answered(
    triton: ScriptedTriton, tmp_path: Path
) -> None:
    async with serving(triton) as address:
        backend = TritonBackend(address, probe_after_s=0.1)
        rig, card = Rig(backend, tmp_path), the_card(durations_ms=(2000,))
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
async def test_a_profile_that_cannot_be_read_says_so(rig: Rig, triton: ScriptedTriton, change: dict[str, Any]) -> None:
    triton.profile |= change
    with pytest.raises(AttemptFailed, match=f"cannot be read .{next(iter(change))} is") as caught:
        await rig.events(a_spec(), the_card())
    assert failure(caught) == ("PROFILE_MISMATCH", False)
    with pytest.raises(AttemptFailed, match="cannot be read"):
        await rig.backend.check()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"name": "tiny"}', "[" * 100_000])
def test_a_profile_of_another_age_says_so(text: str) -> None:
    with pytest.raises(AttemptFailed, match="cannot be read"):
        ServedProfile.parse(text)


async def test_a_load_that_finds_no_memory_is_tried_again(rig: Rig, triton: ScriptedTriton) -> None:
    triton.profile["text_on_demand"] = True
    triton.load_fails = (Code.INTERNAL, "failed to load 'text_encoder': CUDA out of memory")
    with pytest.raises(Unavailable) as caught:
        await rig.events(a_spec(), the_card())
    assert caught.value.reason == "ENGINE_BUSY"


async def test_a_load_that_is_given_up_is_undone(rig: Rig, triton: ScriptedTriton) -> None:
    triton.profile["text_on_demand"], triton.load_hangs = True, True
    making = asyncio.create_task(rig.events(a_spec(), the_card()))
    while not triton.loaded:  # noqa: ASYNC110  The scripted Triton has no event for it.
        await asyncio.sleep(0.01)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert triton.loaded == ["+text_encoder", "-text_encoder"]
