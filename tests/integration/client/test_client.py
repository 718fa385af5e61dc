"""The client against a scripted server that breaks off, refuses and comes back."""

import asyncio
import hashlib
import io
import os
from pathlib import Path

import grpc
import pytest
from i2v.v1 import asset_pb2, job_pb2

from i2v_client import AsyncClient, errors, job_spec
from i2v_client.errors import (
    I2VError,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
    Unauthenticated,
    Unreachable,
    error_of,
)
from i2v_client.failure import Failure
from services.errors import InvalidSpec, LimitReached, Unavailable, Violation
from services.errors import NotFound as NoSuchThing
from services.errors import QuotaExceeded as TooMuch
from services.errors import Unauthenticated as NoKey
from services.reasons import CallReason, ServiceReason
from tests.support.builders import a_violation
from tests.support.scripted_server import KEY, OUTPUT, PICTURE, THE_EVENTS, VIDEO, Rig, asset_name, serving

Job = job_pb2.Job


async def test_a_picture_becomes_a_video_in_a_few_lines(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(PICTURE)
    client = rig.client
    picture = await client.upload(tmp_path / "cat.png")
    job = await client.submit(job_spec("The cat turns its head.", image=picture.name))
    seen = [event async for event in client.watch(job.name)]
    job = await client.get(job.name)
    await client.download(job.output.asset, tmp_path / "cat.mp4")
    assert seen == THE_EVENTS
    assert (tmp_path / "cat.mp4").read_bytes() == VIDEO
    assert rig.script.uploads == [PICTURE]


async def test_generate_does_all_of_it_in_one_call(rig: Rig, tmp_path: Path) -> None:
    seen: list[job_pb2.JobEvent] = []
    job = await rig.client.generate(PICTURE, "It moves.", seed=7, out=tmp_path / "a.mp4", on_event=seen.append)
    assert job.state == Job.SUCCEEDED
    assert seen == THE_EVENTS
    assert (tmp_path / "a.mp4").read_bytes() == VIDEO
    [submitted] = rig.script.asked_for(job_pb2.SubmitJobRequest)
    assert submitted.spec.image_to_video.image == asset_name(PICTURE)
    assert (submitted.spec.model, submitted.spec.seed) == ("nano", 7)


async def test_a_submission_that_was_not_answered_is_repeated_with_the_same_request_id(rig: Rig) -> None:
    rig.script.fail_submit = [
        Unavailable(reason=ServiceReason.GOING_DOWN, retry_after_s=0.01),
        Unavailable(reason=ServiceReason.GOING_DOWN, retry_after_s=0.01),
    ]
    assert (await rig.client.submit(job_spec("A wave."))).name == "jobs/7"
    ids = [each.request_id for each in rig.script.asked_for(job_pb2.SubmitJobRequest)]
    assert len(ids) == 3
    assert len(set(ids)) == 1


async def test_a_batch_that_was_not_answered_is_repeated_with_the_same_request_ids(rig: Rig) -> None:
    rig.script.fail_submit = [Unavailable("later", reason=ServiceReason.DATABASE_UNAVAILABLE, retry_after_s=0.01)]
    asked = [job_pb2.SubmitJobRequest(spec=job_spec("It moves.")) for _ in range(3)]
    asked[1].request_id = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
    results = await rig.client.submit_jobs(asked, job_pb2.SubmitJobsRequest.EACH)
    first, second = rig.script.asked_for(job_pb2.SubmitJobsRequest)
    assert first == second
    ids = [job.request_id for job in first.jobs]
    assert [each.job.request_id for each in results] == ids and ids[1] == asked[1].request_id
    assert len(set(ids)) == 3 and all(ids)


async def test_a_batch_can_be_previewed(rig: Rig) -> None:
    found = await rig.client.preview_jobs([job_spec("It moves."), job_spec("It stops.")])
    assert found.admissible and len(found.jobs) == 2


async def test_who_has_as_many_calls_open_as_allowed_waits_for_a_place(rig: Rig) -> None:
    full = LimitReached("full", limit=1, reason="TENANT_CALLS_LIMIT_REACHED", retry_after_s=0.01)
    rig.script.fail_submit = [full, full]
    assert (await rig.client.submit(job_spec("a wave"))).name
    assert len(rig.script.asked_for(job_pb2.SubmitJobRequest)) == 3


async def test_the_server_is_not_asked_again_before_it_wants_to_be(rig: Rig) -> None:
    rig.script.fail_submit = [Unavailable(reason=ServiceReason.GOING_DOWN, retry_after_s=0.5)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await rig.client.submit(job_spec("A wave."))
    assert loop.time() - began > 0.5


async def test_what_would_take_longer_than_the_caller_waits_fails_at_once(rig: Rig) -> None:
    rig.script.fail_submit = [Unavailable(reason=ServiceReason.GOING_DOWN, retry_after_s=60)]
    with pytest.raises(Unreachable) as caught:
        await rig.client.submit(job_spec("A wave."))
    assert caught.value.retry_after_s == 60
    assert len(rig.script.asked_for(job_pb2.SubmitJobRequest)) == 1


async def test_a_broken_watch_goes_on_where_it_stopped(rig: Rig) -> None:
    rig.script.break_watch_after = [2, 3, 5]
    assert [event async for event in rig.client.watch("jobs/7")] == THE_EVENTS
    assert [each.after_sequence for each in rig.script.asked_for(job_pb2.WatchJobRequest)] == [0, 2, 3, 5]


async def test_a_watch_that_ends_politely_but_too_early_goes_on_too(rig: Rig) -> None:
    rig.script.break_watch_after, rig.script.end_watch_early = [4], True
    assert [event async for event in rig.client.watch("jobs/7")] == THE_EVENTS


async def test_watching_what_has_ended_and_was_seen_brings_nothing(rig: Rig) -> None:
    assert [event async for event in rig.client.watch("jobs/7", after=6)] == []


async def test_a_watch_outlives_its_server(rig: Rig) -> None:
    rig.script.endless = True
    events = rig.client.watch("jobs/7")
    seen = [(await anext(events)).sequence for _ in range(4)]
    address = rig.address
    await rig.server.drain(0)
    next_one = asyncio.ensure_future(anext(events))
    rig.script.endless = False
    second = await serving(rig.script, address)
    try:
        seen += [(await next_one).sequence] + [event.sequence async for event in events]
    finally:
        await second.drain(0)
    assert seen == [1, 2, 3, 4, 5, 6]


async def test_a_reader_that_leaves_ends_the_stream(rig: Rig) -> None:
    rig.script.endless = True
    events = rig.client.watch("jobs/7")
    assert (await anext(events)).sequence == 1
    await events.aclose()  # type: ignore[attr-defined]
    await asyncio.wait_for(rig.server.drain(3600), 60)


async def test_a_download_goes_on_from_the_byte_where_it_was_cut(rig: Rig, tmp_path: Path) -> None:
    rig.script.cut_download_at = [20_000, 70_000]
    assert await rig.client.download(OUTPUT.asset, tmp_path / "a.mp4") == len(VIDEO)
    assert (tmp_path / "a.mp4").read_bytes() == VIDEO
    assert [each.offset for each in rig.script.asked_for(asset_pb2.ReadAssetRequest)] == [0, 20_000, 70_000]
    assert os.listdir(tmp_path) == ["a.mp4"]


async def test_a_damaged_download_leaves_no_file(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(I2VError) as caught:
        await rig.client.download(asset_name(b"something else"), tmp_path / "a.mp4")
    assert caught.value.reason == "CHECKSUM_WRONG"
    assert os.listdir(tmp_path) == []


async def test_a_download_may_go_into_memory(rig: Rig) -> None:
    memory = io.BytesIO()
    await rig.client.download(OUTPUT.asset, memory)
    assert memory.getvalue() == VIDEO


async def test_a_large_upload_comes_in_pieces_with_its_checksum(rig: Rig) -> None:
    data = PICTURE + bytes(1_000_000)
    await rig.client.upload(data)
    [header] = rig.script.asked_for(asset_pb2.WriteAssetHeader)
    assert (header.media_type, header.size_bytes) == ("", len(data))
    assert header.sha256 == hashlib.sha256(data).hexdigest()
    assert rig.script.uploads == [data]


async def test_what_a_file_is_for_is_said_and_what_it_is_is_left_to_the_server(rig: Rig) -> None:
    for media_type in ("image/*", "audio/*", ""):
        await rig.client.upload(PICTURE, media_type)
    assert [each.media_type for each in rig.script.asked_for(asset_pb2.WriteAssetHeader)] == ["image/*", "audio/*", ""]
    with pytest.raises(InvalidRequest) as caught:
        await rig.client.upload(b"GIF89a")
    assert caught.value.violations[0].reason == "PICTURE_FORMAT"


def test_a_call_that_was_answered_while_it_was_sending_is_one_to_repeat() -> None:
    for message in ("Internal error from Core", "Received RST_STREAM with error code 2"):
        assert isinstance(error_of(Failure(grpc.StatusCode.INTERNAL, message)), Unreachable)
    ours = Failure(grpc.StatusCode.INTERNAL, "Internal error from Core", "INTERNAL")
    assert not isinstance(error_of(ours), Unreachable)


async def test_a_key_or_a_user_that_cannot_be_sent_is_refused_at_once() -> None:
    for key, user in (("", "ann"), ("a\nb", "ann"), (KEY, ""), (KEY, "ö"), (KEY, "x" * 129)):
        with pytest.raises(ValueError, match="printable ASCII"):
            AsyncClient("127.0.0.1:1", key, user)


async def test_every_page_of_jobs_comes(rig: Rig) -> None:
    assert [job.name async for job in rig.client.jobs(page_size=2)] == [f"jobs/{n}" for n in range(6)]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (InvalidSpec([Violation("spec.size", "is odd")]), InvalidRequest),
        (TooMuch([a_violation("Spent.")]), QuotaExceeded),
        (NoSuchThing("asset", "assets/0"), NotFound),
        (NoKey(reason=CallReason.API_KEY_MISSING), Unauthenticated),
        (RuntimeError("no"), I2VError),
    ],
)
async def test_each_refusal_is_an_error_of_its_kind(rig: Rig, failure: Exception, kind: type[I2VError]) -> None:
    rig.script.fail_submit = [failure]
    with pytest.raises(I2VError) as caught:
        await rig.client.submit(job_spec("A wave."))
    assert type(caught.value) is kind
    assert caught.value.code in [code for code, of in errors.KINDS.items() if of is kind] or kind is I2VError
    assert caught.value.reason
    assert caught.value.message
