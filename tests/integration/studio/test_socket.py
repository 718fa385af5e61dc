"""Socket.IO: videos by events, from the real process before a real API, by python-socketio's client."""

import asyncio
import base64
import io
from contextlib import AsyncExitStack
from typing import Any

import pytest
from PIL import Image

from tests.support.served_orchestrator import text_spec
from tests.support.signed_in import signed_in, writes
from tests.support.socket_page import START, page, refused
from tests.support.studio_rig import PICTURE, Rig


async def test_a_page_for_the_originals_events_gets_a_video_as_frames(own: Rig) -> None:
    async with page(own) as it:
        originals = {"enable_torch_compile": False, "enable_fp8": False, "use_taehv": True, "fps": 6}
        await it.client.emit("start_generation", {**START, **originals})
        done = await it.next("generation_complete")
        frames = it.all("frame_ready")
        assert [each["frame_index"] for each in frames] == list(range(done["total_frames"]))
        assert {each["job_id"] for each in frames} == {done["job_id"]}
        assert sorted({each["block_index"] for each in frames}) == [each["block_index"] for each in frames[::4]]
        shown = Image.open(io.BytesIO(base64.b64decode(frames[0]["data"].removeprefix("data:image/jpeg;base64,"))))
        assert (shown.format, shown.size) == ("JPEG", (64, 32))
        said = it.all("progress")
        assert [each["progress"] for each in said] == sorted(each["progress"] for each in said)
        assert said[-1]["progress"] == 100 and done["generation_time"] >= 0
        assert it.all("error") == []


@pytest.mark.parametrize("form", ["bytes", "base64", "data URI"])
async def test_an_uploaded_picture_is_the_first_frame(own: Rig, form: str) -> None:
    text = base64.b64encode(PICTURE).decode()
    given = {"bytes": PICTURE, "base64": text, "data URI": f"data:image/png;base64,{text}"}[form]
    async with page(own) as it:
        await it.client.emit("set_mode", {"mode": "i2v"})
        assert await it.next("mode_changed") == {"mode": "i2v"}
        await it.client.emit("upload_image", {"image_data": given})
        uploaded = await it.next("image_uploaded")
        assert uploaded["size"] == list(Image.open(io.BytesIO(PICTURE)).size)
        started = await it.client.call("start_generation", {"prompt": "it moves"})
        job = await own.i2v.job(f"jobs/{started['job_id']}", user=own.user)
        assert job.spec.image_to_video.image == uploaded["image"]


async def test_polling_serves_a_page_without_web_sockets(own: Rig) -> None:
    async with page(own, transports=("polling",)) as it:
        await it.client.emit("start_generation", START)
        done = await it.next("generation_complete")
        assert len(it.all("frame_ready")) == done["total_frames"]


async def test_the_tabs_of_a_user_see_the_job_and_no_other_caller_does(own: Rig) -> None:
    others = own.of(f"{own.user}-other")
    auth = {"key": "story-key", "user": own.user}
    async with AsyncExitStack() as stack:
        it, tab, alone, other, tenant = [
            await stack.enter_async_context(each)
            for each in (page(own), page(own), page(own, follow="own"), page(others), page(own, auth))
        ]
        await it.client.emit("start_generation", START)
        for each in (it, tab):
            done = await each.next("generation_complete")
            assert len(each.all("frame_ready")) == done["total_frames"]
        await other.client.emit("start_generation", {**START, "seed": 8})
        theirs = await other.next("generation_complete")
        assert {each["job_id"] for each in other.all("frame_ready")} == {theirs["job_id"]} != {done["job_id"]}
        assert tenant.got == [] and alone.got == []


async def test_another_callers_job_cannot_be_resumed_or_stopped(own: Rig) -> None:
    job = await own.i2v.submit(text_spec(), user=own.user)
    async with page(own.of(f"{own.user}-other")) as other:
        for event in ("resume", "stop_generation"):
            answer = await other.client.call(event, {"job_id": job.name})
            said = await other.next("error")
            assert answer == {"error": said}
            assert (said["reason"], said["job_id"]) == ("NOT_FOUND", job.name.removeprefix("jobs/"))
        assert other.all("frame_ready") == []


async def test_a_page_that_acknowledges_nothing_yet_gets_few_frames(own: Rig) -> None:
    async with page(own) as it:
        warm = await it.client.call("start_generation", {**START, "seconds": 1})
        await it.next("generation_complete")
        before = len(it.all("frame_ready"))
        it.acknowledges.clear()
        await it.client.call("start_generation", {**START, "seed": 9, "seconds": 2})
        async with asyncio.timeout(60):
            while (await it.next("progress"))["message"] != "Complete" or it.all("progress")[-1]["job_id"] == warm:
                pass
        assert len(it.all("frame_ready")) - before <= 8
        it.acknowledges.set()
        await it.next("generation_complete")
        assert [each["frame_index"] for each in it.all("frame_ready")[before:]] == list(range(16))


@pytest.mark.parametrize(
    ("auth", "reason"),
    [
        ({}, "API_KEY_MISSING"),
        ({"key": "guessed"}, "API_KEY_UNKNOWN"),
        ({"key": ["studio-key"]}, "API_KEY_MISSING"),
        ({"key": "studio-key\r\nx: y"}, "API_KEY_MISSING"),
        ({"key": "studio-key", "user": "a\nb"}, "USER_MALFORMED"),
        ({"key": "studio-key", "tab": "/../"}, "FIELD_MALFORMED"),
        ({"key": "studio-key", "jobs": [1]}, "FIELD_MALFORMED"),
        ({"key": "studio-key", "admin": True}, "FIELD_UNKNOWN"),
    ],
)
async def test_a_handshake_without_a_valid_key_is_refused(own: Rig, auth: dict[str, Any], reason: str) -> None:
    said = await refused(own, auth)
    assert said["reason"] == reason and said["message"].endswith(".")


async def test_the_session_of_a_page_of_ours_is_a_credential_and_ends_with_the_sign_out(own: Rig) -> None:
    cookie = await signed_in(own)
    ours = {**cookie, "Origin": own.address}
    async with page(own, {}, headers=ours) as it:
        assert await it.client.call("set_mode", {"mode": "i2v"}) == {"mode": "i2v"}
        assert "job_id" in await it.client.call("start_generation", START)
    assert (await refused(own, {}, cookie))["reason"] == "CROSS_SITE"
    assert await refused(own, {}, {**cookie, "Origin": "https://evil.example"}) == {}
    await own.http.post(f"{own.address}/sign-out", headers={**writes(own), **cookie})
    assert (await refused(own, {}, ours))["reason"] == "SESSION_ENDED"
