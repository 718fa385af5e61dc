"""The operations of remote models, by the cards that are shipped: what is asked is what the provider is given."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.v1 import asset_pb2, catalog_pb2, job_pb2

from services.orchestrator.backends.provider_backend import ProviderBackend
from services.orchestrator.pace import Pace
from services.rpc.status_codes import from_call
from tests.support import sounds
from tests.support.pictures import a_picture
from tests.support.plan_files import plan_table
from tests.support.scripted_provider import Failed, ScriptedProvider, a_failure, a_video, providing
from tests.support.scripted_writer import ScriptedWriter, writing
from tests.support.served_orchestrator import Served, caller, served

State = job_pb2.Job
Role = {1: "image", 2: "audio", 3: "mask"}


@pytest.fixture
def vendor() -> ScriptedProvider:
    return ScriptedProvider(a_video())


@pytest.fixture
def writer() -> ScriptedWriter:
    return ScriptedWriter()


@asynccontextmanager
async def remotely(
    database: str, tmp_path: Path, vendor: ScriptedProvider, writer: ScriptedWriter, **options: Any
) -> AsyncIterator[Served]:
    async with providing(vendor) as address, writing(writer) as writes:

        def change(values: dict[str, Any]) -> None:
            values |= {"providers": f"wavespeed={address}", "prompt_writer": writes, "plans_file": tmp_path / "plans"}

        (tmp_path / "plans").write_text(plan_table("test", 100_000_000, 100) + plan_table("poor", 1, 1))
        backend = ProviderBackend(address)
        async with served(database, tmp_path, {"wavespeed": (backend, 4)}, change=change, **options) as running:
            yield running
            assert await running.app.store.counter_audits.full(limit=9) == []
        await backend.close()


@pytest.fixture
async def i2v(database: str, tmp_path: Path, vendor: ScriptedProvider, writer: ScriptedWriter) -> AsyncIterator[Served]:
    async with remotely(database, tmp_path, vendor, writer) as running:
        yield running


@pytest.fixture
async def impatient(
    database: str, tmp_path: Path, vendor: ScriptedProvider, writer: ScriptedWriter
) -> AsyncIterator[Served]:
    """It hardly waits between attempts."""
    async with remotely(database, tmp_path, vendor, writer, pace=Pace(longest_retry_s=0.01)) as running:
        yield running


async def refused(call: Any) -> tuple[str, list[str]]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    failure = from_call(error.value)
    return failure.reason, [violation.field for violation in failure.violations]


async def picture(i2v: Served, width: int = 400, height: int = 400) -> str:
    return (await i2v.upload(a_picture(width, height))).name


async def test_a_picture_moves_with_all_that_the_model_has(i2v: Served, vendor: ScriptedProvider) -> None:
    song = sounds.a_sound("audio/mpeg", 4)
    sound = await i2v.upload(song, "audio/mpeg")
    assert (sound.media_type, sound.sample_rate, sound.channels) == ("audio/mpeg", 48_000, 1)
    image = await picture(i2v)
    spec = job_pb2.JobSpec(model="wavespeed-wan-2.5", resolution="480p", seed=7)
    spec.image_to_video.CopyFrom(
        job_pb2.ImageToVideo(
            image=image, prompt="it moves", audio=sound.name, negative_prompt="no text", prompt_expansion=False
        )
    )
    ended = await i2v.ended((await i2v.submit(spec)).name)
    assert (ended.state, ended.charged.amount_micros) == (State.SUCCEEDED, 250_000)
    (task,), (inputs,) = vendor.submitted, vendor.inputs
    assert (task.model, task.resolution, task.seed, task.duration_s) == ("wan-2.5", "480p", 7, 5)
    assert (task.negative_prompt, task.prompt_expansion) == ("no text", False)
    assert not task.HasField("guidance_scale")
    assert [(Role[each.role], each.media_type) for each in task.inputs] == [
        ("image", "image/png"),
        ("audio", "audio/mpeg"),
    ]
    assert inputs == [await i2v.download(image), song]
    asset = await i2v.assets.GetAsset(asset_pb2.GetAssetRequest(name=ended.output.asset), metadata=caller())
    assert (dict(asset.promised), asset.size.width) == ({"width": "64", "height": "32", "model": "vendor/model"}, 64)


async def test_a_scene_is_animated_by_a_prompt_that_is_written_once(
    i2v: Served, vendor: ScriptedProvider, writer: ScriptedWriter
) -> None:
    vendor.refusals = [a_failure("RATE_LIMITED", Failed.NOT_CHARGED, retryable=True)]
    scene = job_pb2.SceneAnimation(
        image=await picture(i2v), scene="A wave.", story="The sea.", details={"Ann": "a sailor"}, guidance_scale=0.5
    )
    spec = job_pb2.JobSpec(model="wavespeed-kling-2.5-turbo-std", scene_animation=scene)
    job = await i2v.submit(spec)
    assert (job.quote.amount_micros, job.prompt) == (210_000 + 20_000, "")
    ended = await i2v.ended(job.name)
    assert (ended.state, ended.charged.amount_micros, ended.attempt) == (State.SUCCEEDED, 210_700, 2)
    assert ended.prompt == writer.answer.prompt
    (asked,) = writer.asked
    assert (asked.scene, asked.story, dict(asked.details), asked.max_characters) == (
        *("A wave.", "The sea.", {"Ann": "a sailor"}),
        2500,
    )
    assert f"jobs/{asked.request_id}" == job.name, "a repeat is answered as the first"
    assert [task.prompt for task in vendor.submitted] == [writer.answer.prompt] * 2
    assert (vendor.submitted[1].negative_prompt, vendor.submitted[1].guidance_scale) == ("no text", 0.5)
    written = (await i2v.until(job.name, "prompt_written")).prompt_written
    assert (written.source, written.llm, written.cost.amount_micros) == ("json", "a-model", 700)
    assert (await i2v.usage()).user.spent.amount_micros == 210_700


async def test_a_written_prompt_is_paid_for_whatever_comes_of_it(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.refusals = [a_failure("MODERATION", Failed.NOT_CHARGED)]
    scene = job_pb2.SceneAnimation(image=await picture(i2v), scene="A wave.")
    spec = job_pb2.JobSpec(model="wavespeed-kling-2.5-turbo-std", scene_animation=scene)
    ended = await i2v.ended((await i2v.submit(spec)).name)
    assert (ended.state, ended.charged.amount_micros) == (State.FAILED, 700)


async def test_a_prompt_that_is_being_written_is_paid_for_though_nobody_needs_it_any_more(
    i2v: Served, vendor: ScriptedProvider, writer: ScriptedWriter
) -> None:
    writer.writing.clear()
    scene = job_pb2.SceneAnimation(image=await picture(i2v), scene="A wave.")
    job = await i2v.submit(job_pb2.JobSpec(model="wavespeed-kling-2.5-turbo-std", scene_animation=scene))
    async for event in i2v.watch(job.name):
        if event.progressed.stage == "write-prompt":
            break
    await i2v.cancel(job.name)
    writer.writing.set()
    ended = await i2v.ended(job.name)
    assert (ended.state, ended.charged.amount_micros, vendor.submitted) == (State.CANCELLED, 700, [])


@pytest.mark.parametrize(
    ("code", "reason"),
    [(grpc.StatusCode.RESOURCE_EXHAUSTED, "LLM_QUOTA"), (grpc.StatusCode.FAILED_PRECONDITION, "LLM_KEY")],
)
async def test_a_language_model_without_credit_is_an_error_and_pays_no_vendor(
    i2v: Served, vendor: ScriptedProvider, writer: ScriptedWriter, code: grpc.StatusCode, reason: str
) -> None:
    writer.troubles = [(code, "no")]
    scene = job_pb2.SceneAnimation(image=await picture(i2v), scene="A wave.")
    spec = job_pb2.JobSpec(model="wavespeed-kling-2.5-turbo-std", scene_animation=scene)
    ended = await i2v.ended((await i2v.submit(spec)).name)
    assert (ended.state, ended.error.reason, ended.charged.amount_micros) == (State.FAILED, reason, 0)
    assert vendor.submitted == []


async def test_a_writer_that_is_away_is_waited_for(
    i2v: Served, vendor: ScriptedProvider, writer: ScriptedWriter
) -> None:
    writer.troubles = [(grpc.StatusCode.UNAVAILABLE, "away")]
    scene = job_pb2.SceneAnimation(image=await picture(i2v), scene="A wave.")
    spec = job_pb2.JobSpec(model="wavespeed-kling-2.5-turbo-std", scene_animation=scene)
    ended = await i2v.ended((await i2v.submit(spec)).name)
    assert (ended.state, ended.attempt, len(vendor.submitted)) == (State.SUCCEEDED, 2, 1)


async def animate(i2v: Served) -> job_pb2.Job:
    scene = job_pb2.SceneAnimation(image=await picture(i2v), scene="A wave.")
    return await i2v.submit(job_pb2.JobSpec(model="wavespeed-kling-2.5-turbo-std", scene_animation=scene))


async def test_a_language_model_that_is_down_is_asked_when_it_says_and_not_for_ever(
    i2v: Served, vendor: ScriptedProvider, writer: ScriptedWriter
) -> None:
    writer.down_s = [3.0, 0.001]
    job = await animate(i2v)
    event = await i2v.until(job.name, "retrying")
    assert event.retrying.error.message == "The prompt cannot be written now: The language model is down."
    assert (event.retrying.retry_time.ToDatetime() - event.create_time.ToDatetime()).total_seconds() > 2.9
    assert (await i2v.ended(job.name)).state == State.SUCCEEDED
    assert (len(writer.asked), len(vendor.submitted)) == (3, 1)


async def test_a_language_model_that_stays_down_is_asked_six_times(
    impatient: Served, vendor: ScriptedProvider, writer: ScriptedWriter
) -> None:
    i2v = impatient
    writer.troubles = [(grpc.StatusCode.UNAVAILABLE, "away")] * 2  # no model was asked
    writer.down_s = [0.01] * 9
    ended = await i2v.ended((await animate(i2v)).name)
    assert (ended.state, ended.error.reason, ended.error.retryable) == (State.FAILED, "LLM_DOWN", True)
    assert (len(writer.asked), ended.attempt, ended.charged.amount_micros) == (2 + 6, 2 + 6, 0)
    waits = [event.retrying async for event in i2v.watch(ended.name) if event.HasField("retrying")]
    assert [wait.error.reason for wait in waits] == ["PROMPT_WRITER_UNREACHABLE"] * 2 + ["LLM_DOWN"] * 5


async def test_a_prompt_in_another_currency_is_refused(
    i2v: Served, vendor: ScriptedProvider, writer: ScriptedWriter
) -> None:
    writer.answer.currency_code = "EUR"
    ended = await i2v.ended((await animate(i2v)).name)
    assert (ended.state, ended.error.reason, ended.charged.amount_micros) == (State.FAILED, "PROMPT_CURRENCY", 0)
    assert vendor.submitted == []
    writer.answer.cost_micros = 0
    assert (await i2v.ended((await animate(i2v)).name)).state == State.SUCCEEDED


@pytest.mark.parametrize(
    ("code", "details", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, "failed to connect: ipv4:10.0.0.7:50071", "PROMPT_WRITER_UNREACHABLE"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!", "PROMPT_WRITER_UNREACHABLE"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "ipv4:10.0.0.7:50071 was late", "LLM_DOWN"),
    ],
)
async def test_the_words_of_grpc_stay_in_the_log(
    i2v: Served,
    writer: ScriptedWriter,
    caplog: pytest.LogCaptureFixture,
    code: grpc.StatusCode,
    details: str,
    reason: str,
) -> None:
    writer.troubles = [(code, details)]
    job = await animate(i2v)
    error = (await i2v.until(job.name, "retrying")).retrying.error
    assert error.reason == reason and details not in error.message and "10.0.0.7" not in error.message
    assert details in [getattr(record, "cause", "") for record in caplog.records]
    await i2v.cancel(job.name)


async def test_somebody_speaks_for_as_long_as_the_audio(
    i2v: Served, vendor: ScriptedProvider, writer: ScriptedWriter
) -> None:
    audio = (await i2v.upload(sounds.a_sound("audio/wav", 6.2), "audio/wav")).name
    avatar = job_pb2.TalkingAvatar(image=await picture(i2v), audio=audio, mask=await picture(i2v), scene="She greets.")
    spec = job_pb2.JobSpec(model="wavespeed-infinitetalk", talking_avatar=avatar)
    job = await i2v.submit(spec)
    assert (job.quote.amount_micros, job.spec.duration.ToMilliseconds()) == (7 * 60_000 + 20_000, 6200)
    ended = await i2v.ended(job.name)
    assert (ended.state, ended.charged.amount_micros) == (State.SUCCEEDED, 7 * 60_000 + 700)
    (task,) = vendor.submitted
    assert (task.model, task.resolution, task.prompt) == ("infinitetalk", "720p", writer.answer.prompt)
    assert not task.HasField("duration_s") and not task.HasField("negative_prompt")
    assert [Role[each.role] for each in task.inputs] == ["image", "audio", "mask"]
    assert writer.asked[0].max_characters == 350


async def test_somebody_speaks_without_a_prompt(i2v: Served, vendor: ScriptedProvider, writer: ScriptedWriter) -> None:
    audio = (await i2v.upload(sounds.a_sound("audio/wav", 1), "audio/wav")).name
    avatar = job_pb2.TalkingAvatar(image=await picture(i2v), audio=audio)
    spec = job_pb2.JobSpec(model="wavespeed-infinitetalk", talking_avatar=avatar, resolution="480p")
    ended = await i2v.ended((await i2v.submit(spec)).name)
    assert (ended.charged.amount_micros, vendor.submitted[0].prompt, writer.asked) == (150_000, "", [])


async def test_what_a_model_cannot_take_is_refused_before_anything_is_sent(
    i2v: Served, vendor: ScriptedProvider
) -> None:
    image, small = await picture(i2v), await picture(i2v, 359, 359)
    short = (await i2v.upload(sounds.a_sound("audio/wav", 2.9), "audio/wav")).name
    odd = (await i2v.upload(sounds.a_sound("audio/ogg", 4), "audio/ogg")).name

    def wan(**fields: Any) -> Any:
        moves = job_pb2.ImageToVideo(**({"image": image, "prompt": "it moves"} | fields))
        return i2v.submit(job_pb2.JobSpec(model="wavespeed-wan-2.5", image_to_video=moves))

    def talk(**fields: Any) -> Any:
        avatar = job_pb2.TalkingAvatar(**({"image": image, "audio": short} | fields))
        return i2v.submit(job_pb2.JobSpec(model="wavespeed-infinitetalk", talking_avatar=avatar))

    assert await refused(wan(image=small)) == ("PICTURE_TOO_SMALL", ["spec.image_to_video.image"])
    assert await refused(wan(image=short)) == ("ASSET_NOT_A_PICTURE", ["spec.image_to_video.image"])
    assert await refused(wan(audio=short)) == ("AUDIO_TOO_SHORT", ["spec.image_to_video.audio"])
    assert await refused(wan(audio=odd)) == ("AUDIO_FORMAT", ["spec.image_to_video.audio"])
    assert await refused(wan(audio=image)) == ("ASSET_NOT_A_SOUND", ["spec.image_to_video.audio"])
    assert await refused(wan(guidance_scale=0.5)) == ("PARAMETER_UNSUPPORTED", ["spec.image_to_video.guidance_scale"])
    assert await refused(talk(mask=small)) == ("MASK_SIZE_WRONG", ["spec.talking_avatar.mask"])
    assert (await refused(talk(audio="assets/" + "0" * 64)))[0] == "NOT_FOUND"
    assert vendor.submitted == []
    assert (await i2v.usage()).user.reserved.amount_micros == 0


@pytest.mark.parametrize(
    ("data", "media_type", "reason"),
    [
        (b"no sound at all", "audio/mpeg", "AUDIO_FORMAT"),
        (sounds.a_slow_wav(0), "audio/wav", "AUDIO_UNREADABLE"),
        (sounds.a_slow_wav(7200), "audio/wav", "AUDIO_TOO_LONG"),
        (sounds.a_film(), "audio/mp4", "AUDIO_FORMAT"),
        (sounds.a_sound("audio/wav"), "video/mp4", "VIDEO_UNREADABLE"),
        (sounds.a_sound("audio/wav"), "image/png", "PICTURE_FORMAT"),
    ],
)
async def test_sounds_that_are_none_are_not_kept(i2v: Served, data: bytes, media_type: str, reason: str) -> None:
    assert (await refused(i2v.upload(data, media_type)))[0] == reason


async def test_the_catalog_tells_what_a_remote_model_takes_and_costs(i2v: Served) -> None:
    models = {
        model.name: model
        for model in (await i2v.catalog.ListModels(catalog_pb2.ListModelsRequest(), metadata=caller())).models
    }
    talk = models["models/wavespeed-infinitetalk"].remote
    assert (talk.provider, talk.capability, list(talk.resolutions)) == ("wavespeed", "infinitetalk", ["720p", "480p"])
    assert [(price.resolution, price.per_second.amount_micros) for price in talk.prices] == [
        ("480p", 30_000),
        ("720p", 60_000),
    ]
    assert (talk.billed_seconds_min, talk.billed_seconds_max, talk.price_as_of) == (5, 600, "2026-11-20")
    assert (list(talk.takes), talk.audio_max.seconds) == (["audio", "mask", "seed"], 600)
    assert "models/fal-wan-2.5" not in models, "its provider is not there"
    assert models["models/test-model"].price_per_second.amount_micros == 1000


async def test_what_came_is_held_against_what_was_asked_and_promised(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.promised = {"width": "854", "height": "32", "fps": "many"}
    song = (await i2v.upload(sounds.a_sound("audio/mpeg", 4), "audio/mpeg")).name
    moves = job_pb2.ImageToVideo(image=await picture(i2v), prompt="it moves", audio=song)
    spec = job_pb2.JobSpec(model="wavespeed-wan-2.5", image_to_video=moves)
    spec.duration.seconds = 10
    job = await i2v.submit(spec)
    warnings = [event.warned.reason async for event in i2v.watch(job.name) if event.HasField("warned")]
    assert warnings == ["OUTPUT_SIZE", "OUTPUT_SIZE", "OUTPUT_LENGTH", "OUTPUT_SILENT"]
    ended = await i2v.job(job.name)
    assert (ended.state, ended.charged.amount_micros) == (State.SUCCEEDED, 1_000_000), "it is paid for"
