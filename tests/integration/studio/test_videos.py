"""`/v1/videos` by the official client of OpenAI, unchanged, before a real API."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from typing import Any

import av
import grpc
import openai
import pytest

from services.orchestrator.domain import next_event
from services.orchestrator.domain.event import JobError
from services.reasons import JobReason
from tests.support.studio_rig import PICTURE, Rig

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
DATA_URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()


@pytest.fixture
async def client(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    async with openai.AsyncOpenAI(
        api_key="studio-key", base_url=f"{rig.address}/v1", default_headers={"I2V-User": "ann"}, max_retries=0
    ) as made:
        yield made


async def made(client: Any, **fields: Any) -> Any:
    video = await client.videos.create(prompt="a wave", model="test-model", seconds="1", **fields)
    return await client.videos.poll(video.id, poll_interval_ms=50)


async def test_a_picture_becomes_a_video_that_is_listed_read_and_deleted(client: Any, rig: Rig) -> None:
    video = await client.videos.create(
        prompt="a wave",
        model="test-model",
        seconds="1",
        size="64x32",
        input_reference=("cat.png", PICTURE, "image/png"),
    )
    assert (video.object, video.model, video.prompt, video.seconds) == ("video", "test-model", "a wave", "1")
    assert video.status in ("queued", "in_progress", "completed")
    video = await client.videos.poll(video.id, poll_interval_ms=50)
    assert (video.status, video.progress, video.size, video.error) == ("completed", 100, "64x32", None)
    assert video.completed_at >= video.created_at
    job = await rig.i2v.job(video.id.replace("video_", "jobs/"))
    assert job.spec.image_to_video.image, "the picture reached the model"

    content = (await client.videos.download_content(video.id)).content
    assert content == await rig.i2v.download(job.output.asset)
    with av.open(io.BytesIO(content)) as container:
        assert container.streams.video[0].width == 64
    thumbnail = await client.videos.download_content(video.id, variant="thumbnail")
    assert thumbnail.response.headers["content-type"] == "image/webp"
    sheet = await client.videos.download_content(video.id, variant="spritesheet")
    assert sheet.response.headers["content-type"] == "image/jpeg"

    assert (await client.videos.delete(video.id)).deleted
    for gone in (client.videos.retrieve(video.id), client.videos.download_content(video.id)):
        with pytest.raises(openai.NotFoundError, match="There is no such video"):
            await gone
    await all_is_gone(client, video.id)


async def all_is_gone(client: Any, video: str) -> None:
    """A deleted video is not listed, and nothing can be done with it."""
    assert video not in [each.id for each in (await client.videos.list()).data]
    for call in (client.videos.delete(video), client.videos.remix(video, prompt="a storm")):
        with pytest.raises(openai.NotFoundError, match="There is no such video"):
            await call


async def test_pages_have_no_gaps_where_videos_were_deleted(client: Any) -> None:
    ids = [(await made(client, extra_body={"seed": number})).id for number in range(4)]
    for each in ids[1:3]:
        await client.videos.delete(each)
    page = await client.videos.list(limit=1)
    assert ([each.id for each in page.data], page.has_more) == ([ids[3]], True)
    page = await client.videos.list(limit=1, after=ids[3])
    assert ([each.id for each in page.data], page.has_more) == ([ids[0]], False)


async def test_a_video_that_is_deleted_while_it_is_made_is_stopped_and_gone(client: Any, rig: Rig) -> None:
    video = await client.videos.create(prompt="a wave", model="test-model", seconds="1")
    assert (await client.videos.delete(video.id)).deleted
    with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
        await rig.i2v.job(video.id.replace("video_", "jobs/"))
    with pytest.raises(openai.NotFoundError):
        await client.videos.retrieve(video.id)
    await all_is_gone(client, video.id)


async def test_a_job_that_was_stopped_elsewhere_is_a_failed_video_until_it_is_deleted(client: Any, rig: Rig) -> None:
    video = (await client.videos.create(prompt="a wave", model="test-model", seconds="1")).id
    await rig.i2v.cancel(video.replace("video_", "jobs/"))
    found = await client.videos.poll(video, poll_interval_ms=50)
    assert (found.status, found.error.code) == ("failed", "cancelled")
    assert [each.status for each in (await client.videos.list()).data] == ["failed"]
    with pytest.raises(openai.ConflictError) as caught:
        await client.videos.download_content(video)
    assert caught.value.code == "VIDEO_UNFINISHED"
    assert (await client.videos.remix(video, prompt="a storm")).prompt == "a storm"
    assert (await client.videos.delete(video)).deleted
    await all_is_gone(client, video)


async def test_a_video_that_failed_says_why_until_it_is_deleted(client: Any, rig: Rig) -> None:
    video = (await client.videos.create(prompt="a wave", model="test-model", seconds="1")).id
    broken = JobError(JobReason.ENGINE_FAILED, "The engine broke.", retryable=True)
    job = video.removeprefix("video_")
    await rig.i2v.app.store.jobs.record(job, lambda found: next_event.fail(found, broken))
    found = await client.videos.retrieve(video)
    assert (found.status, found.error.code) == ("failed", "ENGINE_FAILED")
    assert (await client.videos.delete(video)).deleted
    await all_is_gone(client, video)
    with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
        await rig.i2v.job(f"jobs/{job}")


async def test_json_names_a_picture_by_a_data_url_or_by_its_asset(client: Any, rig: Rig) -> None:
    asset = await rig.i2v.upload(PICTURE)
    for reference in ({"image_url": DATA_URL}, {"file_id": asset.name}):
        answer = await rig.http.post(
            f"{rig.address}/v1/videos",
            json={"prompt": "a wave", "model": "test-model", "seconds": 1, "seed": 7, "input_reference": reference},
            headers={"Authorization": "Bearer studio-key", "I2V-User": "ann"},
        )
        assert (answer.status_code, answer.json()["seed"]) == (200, 7), answer.text
        job = await rig.i2v.job(answer.json()["id"].replace("video_", "jobs/"))
        assert job.spec.image_to_video.image == asset.name


async def test_without_a_model_the_service_chooses_one(client: Any) -> None:
    video = await client.videos.create(prompt="a wave")
    models = [model.id async for model in client.models.list()]
    assert video.model in models


async def test_pages_follow_each_other_in_both_orders(client: Any) -> None:
    ids = [(await client.videos.create(prompt="a wave", model="test-model", seconds="1")).id for _ in range(5)]
    for order, expected in (("asc", ids), ("desc", ids[::-1])):
        assert [video.id async for video in client.videos.list(limit=2, order=order)] == expected
    page = await client.videos.list(limit=2, after=ids[2])
    assert [video.id for video in page.data] == [ids[1], ids[0]]


async def test_a_remix_has_another_prompt_and_names_its_source(client: Any) -> None:
    first = await made(client, input_reference=("cat.png", PICTURE, "image/png"))
    second = await client.videos.remix(first.id, prompt="a storm")
    assert (second.prompt, second.remixed_from_video_id, second.seconds) == ("a storm", first.id, "1")
    assert (await client.videos.poll(second.id, poll_interval_ms=50)).status == "completed"


async def test_a_key_that_is_sent_again_makes_no_second_video(client: Any, rig: Rig) -> None:
    header = {"Idempotency-Key": "order 17"}
    first = await client.videos.create(prompt="a wave", model="test-model", seconds="1", extra_headers=header)
    again = await client.videos.create(prompt="a wave", model="test-model", seconds="1", extra_headers=header)
    assert again.id == first.id
    with pytest.raises(openai.ConflictError) as caught:
        await client.videos.create(prompt="a storm", model="test-model", seconds="1", extra_headers=header)
    assert caught.value.code == "REQUEST_ID_REUSED"
    assert len((await client.videos.list()).data) == 1


async def test_users_and_tenants_see_only_their_own_videos(client: Any) -> None:
    video = await client.videos.create(prompt="a wave", model="test-model", seconds="1")
    for other in (
        client.with_options(api_key="story-key"),
        client.with_options(default_headers={"I2V-User": "bob"}),
    ):
        assert (await other.videos.list()).data == []
        for refused in (
            other.videos.retrieve(video.id),
            other.videos.delete(video.id),
            other.videos.remix(video.id, prompt="x"),
        ):
            with pytest.raises(openai.NotFoundError):
                await refused


async def test_a_wrong_key_is_refused_in_the_clients_form(client: Any) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        await client.with_options(api_key="wrong").videos.create(prompt="a wave")
    assert (caught.value.code, caught.value.type) == ("API_KEY_UNKNOWN", "authentication_error")


async def test_what_the_api_refuses_names_the_field_of_the_request(client: Any, rig: Rig) -> None:
    for fields, param, reason in (
        ({"model": "none"}, "model", ""),
        ({"seconds": "77"}, "seconds", "DURATION_UNSUPPORTED"),
        ({"size": "333x333"}, "size", "SIZE_UNSUPPORTED"),
        ({"input_reference": ("a.png", b"MZ not a picture", "image/png")}, "input_reference", ""),
    ):
        with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as caught:
            await client.videos.create(**{"prompt": "a wave", "model": "test-model", **fields})
        assert caught.value.code and (not reason or caught.value.code == reason), caught.value
        assert caught.value.param == param, caught.value
    assert (await rig.i2v.usage()).user.reserved.amount_micros == 0


async def test_the_requests_of_load_clients_are_taken_as_they_are(rig: Rig) -> None:
    """Those of NVIDIA's AIPerf and of SGLang's benchmark for videos, with and without a picture."""
    fields = {"prompt": "a wave", "model": "test-model"}
    picture = {"input_reference": ("cat.png", PICTURE, "application/octet-stream")}
    as_form: dict[str, Any] = {name: (None, value) for name, value in fields.items()}
    for given in (
        {"files": as_form | {"seconds": (None, "1")}},
        {"files": as_form | picture | {"seconds": (None, "1")}},
        {"files": as_form | picture | {"num_outputs_per_prompt": (None, "1"), "size": (None, "64x32")}},
        {"json": fields | {"num_outputs_per_prompt": 1}},
    ):
        headers = {"Authorization": "Bearer studio-key"}
        answer = await rig.http.post(f"{rig.address}/v1/videos", headers=headers, **given)
        assert (answer.status_code, answer.json()["object"]) == (200, "video"), answer.text


async def test_bad_bodies_are_refused_and_charge_nothing(rig: Rig) -> None:
    key = {"Authorization": "Bearer studio-key"}
    url = f"{rig.address}/v1/videos"
    part = ("input_reference", ("a.png", PICTURE, "image/png"))
    prompt = ("prompt", (None, "a wave"))
    cases: list[tuple[int, str, dict[str, Any]]] = [
        (401, "API_KEY_MISSING", {"json": {"prompt": "a wave"}, "headers": {}}),
        (415, "CONTENT_TYPE_UNSUPPORTED", {"content": b"prompt=x"}),
        (400, "JSON_MALFORMED", {"content": b'{"prompt": "a", "prompt": "b"}', "json_type": True}),
        (400, "JSON_MALFORMED", {"content": b'{"prompt": "a", "seconds": NaN}', "json_type": True}),
        (400, "JSON_MALFORMED", {"content": b"[" * 10_000, "json_type": True}),
        (400, "JSON_MALFORMED", {"content": b"[]", "json_type": True}),
        (400, "FIELD_MALFORMED", {"content": b'{"prompt": "a", "seconds": ' + b"9" * 400 + b"}", "json_type": True}),
        (400, "FIELD_UNKNOWN", {"json": {"prompt": "a", "steps": 4}}),
        (400, "FIELD_MALFORMED", {"json": {"prompt": " "}}),
        (400, "FIELD_MALFORMED", {"json": {"prompt": "a", "size": "1280 x 720"}}),
        (400, "URL_UNSUPPORTED", {"json": {"prompt": "a", "input_reference": {"image_url": "http://127.0.0.1/a"}}}),
        (413, "BODY_TOO_LARGE", {"json": {"prompt": "a" * 16 * 2**20}}),
        (400, "FORM_MALFORMED", {"files": [part, part, prompt]}),
        (400, "FORM_MALFORMED", {"files": [(f"f{number}", (None, "x")) for number in range(1000)]}),
        (
            400,
            "FORM_MALFORMED",
            {"content": b"--x\r\nbroken", "headers": {**key, "Content-Type": "multipart/form-data"}},
        ),
        (400, "FIELD_DUPLICATE", {"files": [prompt, prompt]}),
        (400, "FIELD_UNKNOWN", {"files": [("mask", ("a.png", PICTURE, "image/png")), prompt]}),
        (413, "BODY_TOO_LARGE", {"files": [("input_reference", ("a.png", b"x" * 16 * 2**20)), prompt]}),
    ]
    for status, reason, given in cases:
        options = {"headers": key, **given}
        if options.pop("json_type", False):
            options["headers"] = key | {"Content-Type": "application/json"}
        answer = await rig.http.post(url, **options)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, reason), answer.text
    assert (await rig.i2v.usage(user="default")).user.reserved.amount_micros == 0
    for path in ("/v1/videos/../models/x", "/v1/videos/video_%2e%2e%2fx", "/v1/videos/%00"):
        answer = await rig.http.get(rig.address + path, headers=key)
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error"), (path, answer.text)


async def test_a_query_that_is_no_number_or_no_order_is_refused(rig: Rig) -> None:
    key = {"Authorization": "Bearer studio-key"}
    for query in ("limit=0", "limit=101", "limit=00010000000000000000", "limit=-1", "limit=%D9%A1", "order=up"):
        answer = await rig.http.get(f"{rig.address}/v1/videos?{query}", headers=key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "FIELD_MALFORMED"), query


async def test_a_form_in_an_encoding_that_makes_no_unicode_is_refused(rig: Rig) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x; charset=unicode_escape"}
    for name, text in ((b"prompt", b"\\ud800"), (b"\\ud800", b"x")):
        answer = await rig.http.post(
            f"{rig.address}/v1/videos",
            content=part % (name, text) + b"--x--\r\n",
            headers={"Authorization": "Bearer studio-key"} | kind,
        )
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error"), answer.text


async def test_a_wrong_key_and_a_large_body_are_refused_before_the_body_is_read(rig: Rig) -> None:
    host, _, port = rig.address.removeprefix("http://").rpartition(":")
    for path, key, size, status in (
        ("/v1/videos", "wrong", 9_000_000, b" 401 "),
        ("/v1/videos/video_x/remix", "wrong", 9_000_000, b" 401 "),
        ("/v1/videos", "studio-key", 16 * 2**20, b" 413 "),
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {path} HTTP/1.1\r\nHost: studio\r\nAuthorization: Bearer {key}\r\nContent-Length: {size}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode())
        async with asyncio.timeout(30):
            assert status in await reader.readline()
        writer.close()
