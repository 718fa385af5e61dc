"""The request to the vendor for a task, model by model, and what is refused before anything is sent."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from i2v.provider.v1 import provider_pb2 as pb

from tests.support import sounds
from tests.support.provider_and_simulator import (
    IMAGE,
    KANDINSKY,
    KLING,
    METADATA,
    PICTURE,
    TALK,
    Given,
    Provided,
    a_task,
    header,
    picture,
    provided,
    refusal,
    sound,
)

INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "NOTHING_SUBMITTED")


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Provided]:
    async with provided("wavespeed", tmp_path) as made:
        yield made


async def test_wan_gets_its_parameters_and_data_uris(rig: Provided) -> None:
    task = a_task(seed=7, negative_prompt="rain", prompt_expansion=True, duration_s=10)
    result = await rig.generate(task, [IMAGE, (pb.Input.AUDIO, "audio/wav", sound(3))])
    assert result.done
    sent = rig.simulator.submitted[0]
    assert sent.pop("image").startswith("data:image/png;base64,")
    assert sent.pop("audio").startswith("data:audio/wav;base64,")
    assert sent == {
        "prompt": "it moves",
        "resolution": "480p",
        "duration": 10,
        "enable_prompt_expansion": True,
        "negative_prompt": "rain",
        "seed": 7,
    }


async def test_kling_gets_only_base64(rig: Provided) -> None:
    task = a_task(**KLING, guidance_scale=0.25, negative_prompt="rain")
    assert (await rig.generate(task)).done
    sent = rig.simulator.submitted[0]
    assert not sent.pop("image").startswith("data:")
    assert sent == {"prompt": "it moves", "duration": 5, "guidance_scale": 0.25, "negative_prompt": "rain"}


@pytest.mark.parametrize("field", ["image", "image_url"])
async def test_kandinskys_picture_is_sent_as_the_settings_require(tmp_path: Path, field: str) -> None:
    def change(values: dict[str, Any], simulator: Any) -> None:
        values["kandinsky_image_field"] = field
        simulator.fields["wavespeed-ai/kandinsky5-pro/image-to-video"] = ({field, "prompt"}, {"resolution"})

    async with provided("wavespeed", tmp_path, change=change) as rig:
        assert (await rig.generate(a_task(**KANDINSKY))).done
        assert set(rig.simulator.submitted[0]) == {field, "prompt", "resolution"}


async def test_infinitetalks_length_is_that_of_the_sound(rig: Provided) -> None:
    mask = (pb.Input.MASK, "image/png", picture(colour="white"))
    result = await rig.generate(
        a_task(**TALK, prompt="", seed=1), [IMAGE, (pb.Input.AUDIO, "audio/wav", sound(2)), mask]
    )
    assert result.done
    assert set(rig.simulator.submitted[0]) == {"image", "audio", "mask_image", "resolution", "seed"}


async def test_an_input_that_is_too_large_for_a_request_is_uploaded(tmp_path: Path) -> None:
    async with provided("wavespeed", tmp_path, change=lambda values, _: values.update(inline_bytes=1000)) as rig:
        big = sound(3)
        assert (await rig.generate(a_task(), [IMAGE, (pb.Input.AUDIO, "audio/wav", big)])).done
        sent = rig.simulator.submitted[0]
        assert sent["image"].startswith("data:")
        assert sent["audio"].startswith(rig.simulator.url)
        assert list(rig.simulator.uploads.values()) == [big]
        assert max(rig.simulator.lengths) < len(big)


async def test_klings_picture_is_uploaded_once_and_given_by_its_url(tmp_path: Path) -> None:
    async with provided("wavespeed", tmp_path, change=lambda values, _: values.update(inline_bytes=10)) as rig:
        assert (await rig.generate(a_task(**KLING))).done
        assert rig.simulator.submitted[0]["image"].startswith(rig.simulator.url)
        assert list(rig.simulator.uploads.values()) == [PICTURE]


async def test_a_mask_that_is_too_large_for_a_request_is_uploaded(tmp_path: Path) -> None:
    async with provided("wavespeed", tmp_path, change=lambda values, _: values.update(inline_bytes=10)) as rig:
        white, voice = picture(colour="white"), sound(2)
        given = [IMAGE, (pb.Input.AUDIO, "audio/wav", voice), (pb.Input.MASK, "image/png", white)]
        assert (await rig.generate(a_task(**TALK), given)).done
        sent = rig.simulator.submitted[0]
        kept = {key: rig.simulator.uploads[sent[key].rpartition("/")[2]] for key in ("image", "audio", "mask_image")}
        assert kept == {"image": PICTURE, "audio": voice, "mask_image": white}
        assert len(rig.simulator.uploads) == 3


async def test_fal_gets_its_own_names_and_the_sound_by_url(tmp_path: Path) -> None:
    async with provided("fal", tmp_path) as rig:
        task = a_task(seed=7, negative_prompt="rain")
        assert (await rig.generate(task, [IMAGE, (pb.Input.AUDIO, "audio/wav", sound(3))])).done
        sent = rig.simulator.submitted[0]
        assert sent.pop("image_url").startswith("data:image/png;base64,")
        assert sent.pop("audio_url").startswith(rig.simulator.url)
        assert sent == {
            "prompt": "it moves",
            "resolution": "480p",
            "duration": "5",
            "enable_prompt_expansion": False,
            "negative_prompt": "rain",
            "seed": 7,
        }


@pytest.mark.parametrize(
    ("status", "words", "end"),
    [
        (401, "bad key", ("BAD_KEY", "NOT_CHARGED")),
        (400, "insufficient credits", ("NO_CREDIT", "NOT_CHARGED")),
        (429, "too many requests", ("RATE_LIMITED", "NOT_CHARGED")),
        (400, "flagged as sensitive", ("MODERATION", "NOT_CHARGED")),
        (408, "slow", ("ANSWER_LOST", "UNKNOWN")),
        (500, "oh", ("ANSWER_LOST", "UNKNOWN")),
    ],
)
async def test_wavespeeds_envelope_may_hold_the_refusal(
    rig: Provided, status: int, words: str, end: tuple[str, str]
) -> None:
    rig.play(submit="envelope", status=status, words=words)
    assert (await rig.generate()).end == end
    assert rig.simulator.paid == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": "sora"}, "model"),
        ({"submission_id": ""}, "task.submission_id"),
        ({"submission_id": "x" * 129}, "task.submission_id"),
        ({"prompt": " "}, "task.prompt"),
        ({"prompt": "x" * 2001}, "task.prompt"),
        ({"prompt": "a\0b"}, "task.prompt"),
        ({"negative_prompt": "x" * 501}, "task.negative_prompt"),
        ({"duration_s": 6}, "task.duration_s"),
        ({"duration_s": None}, "task.duration_s"),
        ({"resolution": "4k"}, "task.resolution"),
        ({"resolution": None}, "task.resolution"),
        ({"seed": -1}, "task.seed"),
        ({"seed": 2**31}, "task.seed"),
        ({"guidance_scale": 0.5}, "task.guidance_scale"),
        ({**KLING, "seed": 1}, "task.seed"),
        ({**KLING, "resolution": "720p"}, "task.resolution"),
        ({**KLING, "guidance_scale": 1.001}, "task.guidance_scale"),
        ({**KLING, "guidance_scale": float("nan")}, "task.guidance_scale"),
        ({**KLING, "prompt_expansion": False}, "task.prompt_expansion"),
        ({**KANDINSKY, "negative_prompt": "rain"}, "task.negative_prompt"),
        ({**KANDINSKY, "resolution": "720p"}, "task.resolution"),
        ({**KANDINSKY, "duration_s": 10}, "task.duration_s"),
        ({**TALK, "duration_s": 5}, "task.duration_s"),
        ({**TALK}, "task.inputs"),
    ],
)
async def test_a_parameter_that_a_model_does_not_accept_is_refused_and_not_dropped(
    rig: Provided, fields: dict[str, Any], field: str
) -> None:
    assert await refusal(rig.generate(a_task(**fields))) == (*INVALID, field)
    assert rig.simulator.counts.total() == 0
    assert list(rig.data.rglob("task-*")) == []


@pytest.mark.parametrize(
    "before",
    [b"", sounds.an_id3(), b"APETAGEX" + bytes(24), bytes(400), b"half a frame" * 20],
    ids=["nothing", "ID3", "APE", "zeros", "half a frame"],
)
async def test_an_mp3_may_begin_with_tags_padding_or_half_a_frame(rig: Provided, before: bytes) -> None:
    mp3 = sounds.encoded(1.0, "mp3", "libmp3lame", rate=8000, options={"id3v2_version": "0", "write_xing": "0"})
    assert (await rig.generate(a_task(), [IMAGE, (pb.Input.AUDIO, "audio/mpeg", before + mp3)])).done


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [IMAGE, IMAGE],
        [IMAGE, (pb.Input.MASK, "image/png", picture())],
        [(pb.Input.ROLE_UNSPECIFIED, "image/png", picture())],
        [(pb.Input.IMAGE, "image/gif", b"GIF89a")],
        [(pb.Input.IMAGE, "image/png", b"")],
        [(pb.Input.IMAGE, "image/png", picture(kind="JPEG"))],
        [(pb.Input.IMAGE, "image/png", b"\x89PNG\r\n\x1a\n" + bytes(10_000_000))],
        [IMAGE, (pb.Input.AUDIO, "audio/mpeg", sound(1))],
        [IMAGE, (pb.Input.AUDIO, "audio/wav", b"RIFF    WAVE" + bytes(15_000_000))],
    ],
    ids=["none", "twice", "mask", "role", "gif", "empty", "false-type", "large", "false-sound-type", "large-sound"],
)
async def test_invalid_inputs_are_refused(rig: Provided, inputs: list[Given]) -> None:
    assert (await refusal(rig.generate(a_task(), inputs)))[:2] == INVALID
    assert rig.simulator.counts.total() == 0
    assert list(rig.data.rglob("task-*")) == []


async def test_everything_at_its_limit_is_accepted(rig: Provided) -> None:
    data = b"\x89PNG\r\n\x1a\n" + bytes(10_000_000 - 8)
    rig.play(submit="refused", status=429)  # Not a valid picture: the test only checks that it arrives.
    task = a_task(prompt="x" * 2000, negative_prompt="x" * 500, seed=2**31 - 1, submission_id="x" * 128)
    assert (await rig.generate(task, [(pb.Input.IMAGE, "image/png", data)])).failed.reason == "RATE_LIMITED"
    assert rig.simulator.counts["upload"] == 1
    assert rig.simulator.paid == 1


def a_header() -> pb.GenerateRequest:
    return pb.GenerateRequest(task=header(a_task(), [IMAGE]))


def a_chunk(data: bytes) -> pb.GenerateRequest:
    return pb.GenerateRequest(chunk=pb.InputChunk(data=data))


@pytest.mark.parametrize(
    "stream",
    [
        [],
        [pb.GenerateRequest()],
        [a_chunk(PICTURE)],
        [a_header()],
        [a_header(), a_chunk(PICTURE[:-1])],
        [a_header(), a_chunk(PICTURE + b"x")],
        [a_header(), a_chunk(PICTURE), a_chunk(b"x")],
        [a_header(), a_chunk(PICTURE), a_header()],
        [a_header(), a_header()],
        [a_header(), a_chunk(b"")],
        [a_header(), a_chunk(PICTURE[:-1] + b"x")],
        [a_header(), a_chunk(bytes((1 << 20) + 1))],
    ],
    ids=range(12),
)
async def test_a_malformed_stream_submits_nothing(rig: Provided, stream: list[pb.GenerateRequest]) -> None:
    call = rig.stub.Generate(iter(stream), metadata=METADATA)
    assert (await refusal(call.read()))[:2] == INVALID
    assert rig.simulator.counts.total() == 0
    assert list(rig.data.rglob("task-*")) == []


async def test_nothing_is_submitted_before_the_request_is_complete(rig: Provided) -> None:
    call = rig.stub.Generate(metadata=METADATA)
    await call.write(a_header())
    await call.write(a_chunk(PICTURE))
    call.cancel()
    assert (await rig.capabilities()).vendor == "wavespeed"
    assert rig.simulator.counts.total() == 0
