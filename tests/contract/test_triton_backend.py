"""The pipeline over a scripted Triton: its requests, and the events of a job."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.orchestrator.backends.triton_backend import TritonBackend
from services.orchestrator.domain.card import EngineNeeds, ModelCard
from services.orchestrator.domain.spec import FAST, QUALITY, Size
from services.orchestrator.ports.backend import AttemptFailed, Checkpoint, Continues, Fragment, Output, Stage
from tests.support.scripted_triton import ScriptedTriton, serving
from tests.support.triton_backend_rig import TritonRig, a_spec, a_triton_rig, failure, of, the_card


@pytest.fixture
def triton() -> ScriptedTriton:
    return ScriptedTriton()


@pytest.fixture
async def rig(triton: ScriptedTriton, tmp_path: Path) -> AsyncIterator[TritonRig]:
    async with a_triton_rig(triton, tmp_path) as made:
        yield made


async def test_a_picture_becomes_a_video_in_fragments(rig: TritonRig, triton: ScriptedTriton) -> None:
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
async def test_a_later_attempt_makes_only_the_rest_and_the_video_is_the_same(
    rig: TritonRig, triton: ScriptedTriton, text: bool, kept: int
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


async def test_a_backend_that_marks_marks_every_block_also_after_a_retry(
    rig: TritonRig, triton: ScriptedTriton, tmp_path: Path
) -> None:
    card = the_card()
    plain = of(Fragment, await rig.events(a_spec(), card))
    (tmp_path / "marking").mkdir()
    async with a_triton_rig(triton, tmp_path / "marking", marked=True) as marking:
        whole = await marking.events(a_spec(), card)
        video = marking.video()
        again = await marking.events(a_spec(), card, 2, of(Checkpoint, whole)[0].data)
        assert video != rig.video() and marking.video() == video
    assert of(Fragment, again) == of(Fragment, whole)
    assert all(one.data != other.data for one, other in zip(of(Fragment, whole), plain, strict=True))


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
async def test_a_bad_checkpoint_and_all_after_it_are_made_again(
    rig: TritonRig, triton: ScriptedTriton, harm: Any
) -> None:
    card = the_card(durations_ms=(2000,))
    whole = await rig.events(a_spec(card), card)
    video, checkpoints = rig.video(), [event.data for event in of(Checkpoint, whole)]
    assert harm(checkpoints[1]) != checkpoints[1]
    again = await rig.events(a_spec(card), card, 2, checkpoints[0], harm(checkpoints[1]), *checkpoints[2:])
    assert [event.block for event in of(Continues, again)] == [1]
    assert rig.video() == video


async def test_checkpoints_of_another_profile_seed_or_history_are_not_used(
    rig: TritonRig, triton: ScriptedTriton
) -> None:
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
async def test_a_card_beyond_its_profile_fails_the_job_and_the_error_has_both_values(
    rig: TritonRig, card: ModelCard, spec: dict[str, Any], says: str
) -> None:
    with pytest.raises(AttemptFailed, match=re.escape(says)) as caught:
        await rig.events(a_spec(card, **spec), card)
    assert failure(caught) == ("PROFILE_MISMATCH", False)


async def test_a_profile_without_an_independent_first_frame_has_other_blocks(
    rig: TritonRig, triton: ScriptedTriton
) -> None:
    triton.profile |= {"block_latents": 3, "independent_first_frame": False}
    card = the_card(durations_ms=(2000,), durations_ms_by_operation={"image-to-video": (2250,)})
    events = await rig.events(a_spec(card, text=True), card)
    assert [event.frames for event in of(Fragment, events)] == [9, 12, 12]
    events = await rig.events(a_spec(card), card)
    assert [event.frames for event in of(Fragment, events)] == [13, 12, 12]
    with pytest.raises(AttemptFailed, match="9 latent frames from a picture"):
        await rig.events(a_spec(card, duration_ms=2000), card)


async def test_a_bidirectional_profile_makes_one_block_and_reports_its_progress(
    rig: TritonRig, triton: ScriptedTriton
) -> None:
    triton.profile |= {"pipeline": "bidirectional", "guidance": 5.0, "negative_prompt": "blurred"}
    triton.progress_messages = 4
    card = the_card()
    events = await rig.events(a_spec(), card)
    assert [event.frames for event in of(Fragment, events)] == [9, 8]
    assert [event.index for event in of(Checkpoint, events)] == [0]
    progress = [event.progress for event in events if isinstance(event, Stage | Fragment)]
    assert progress == sorted(progress)
    assert of(Fragment, events)[0].progress > 0.9
    assert len(of(Stage, events)) == 3, "progress is reported at most once a second"
    (asked,) = triton.of("transformer")
    assert asked["image_latent"].shape[2] == 5
    assert asked["negative_embeddings"].shape == asked["prompt_embeddings"].shape
    assert [each["prompt"].item() for each in triton.of("tokenizer")] == [b"it moves", b"blurred"]


async def test_the_progress_inside_a_block_is_reported(triton: ScriptedTriton, tmp_path: Path) -> None:
    triton.profile |= {"pipeline": "bidirectional"}
    triton.progress_messages = 3
    async with serving(triton) as address:
        backend = TritonBackend(address, report_s=0)
        events = await TritonRig(backend, tmp_path).events(a_spec(), the_card())
        await backend.close()
    progress = [event.progress for event in events if isinstance(event, Stage | Fragment)]
    assert progress == sorted(progress)
    assert [round(event.progress, 3) for event in of(Stage, events)] == [0.0, 0.05, 0.335, 0.62, 0.905, 1.0]


async def test_the_quality_chooses_the_decoder(rig: TritonRig, triton: ScriptedTriton) -> None:
    triton.profile["decoders"] = {QUALITY: "vae_decoder", FAST: "vae_decoder_tiny"}
    await rig.events(a_spec(quality=FAST), the_card())
    assert triton.of("vae_decoder_tiny") and not triton.of("vae_decoder")


async def test_a_prompt_and_a_picture_are_encoded_once(rig: TritonRig, triton: ScriptedTriton) -> None:
    card = the_card()
    for seed in range(2):
        await rig.events(a_spec(seed=seed), card)
    assert len(triton.of("text_encoder")) == len(triton.of("vae_encoder")) == len(triton.of("image_encoder")) == 1
    triton.profile["digest"] = "d2"
    await rig.events(a_spec(), card)
    assert len(triton.of("text_encoder")) == len(triton.of("vae_encoder")) == 2


async def test_a_text_encoder_on_demand_is_loaded_only_while_it_is_needed(
    rig: TritonRig, triton: ScriptedTriton
) -> None:
    triton.profile["text_on_demand"] = True
    triton.not_ready.add("text_encoder")
    await rig.backend.check()
    await rig.events(a_spec(), the_card())
    assert triton.loaded == ["+text_encoder", "-text_encoder"]
