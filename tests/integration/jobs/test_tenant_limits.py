"""The limits of one tenant, over the real service: a tenant at its limits does not affect another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from i2v.v1 import asset_pb2, job_pb2

from services.orchestrator.media.video_writer import VideoWriter
from services.rpc.status_codes import Failure, from_call
from tests.support.builders import ScriptedBackend
from tests.support.raw_http2 import RawCaller
from tests.support.served_orchestrator import Served, caller, served, text_spec

FILE_BYTES = 24 << 20
STALLED = {"reason": "READER_STALLED"}


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    def change(values: dict[str, Any]) -> None:
        values |= {
            "tenant_watches": 2,
            "tenant_uploads": 2,
            "tenant_downloads": 2,
            "tenant_calls": 5,
            "tenant_lists": 2,
        }
        values |= {"taking_s": 1.0, "first_message_s": 1.0, "next_message_s": 1.0}

    backend = ScriptedBackend()
    backend.gate.clear()
    async with served(database, tmp_path, {"test": (backend, 1)}, change=change) as running:
        yield running


def a_large_video(folder: Path) -> bytes:
    path = folder / "large.mp4"
    writer = VideoWriter(64, 64, 16)
    writer.add(np.zeros((16, 64, 64, 3), np.uint8))
    writer.finish(path)
    data = path.read_bytes()
    filler = FILE_BYTES - len(data)
    return data + filler.to_bytes(4, "big") + b"free" + bytes(filler - 8)


async def refusal(call: Any) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_call(caught.value)


def facts(failure: Failure) -> tuple[grpc.StatusCode, str, str | None, bool]:
    return failure.code, failure.reason, failure.metadata.get("limit"), failure.retry_after_s is not None


async def test_watches_of_one_tenant_have_a_limit_and_others_watch_on(i2v: Served) -> None:
    job, other = await i2v.submit(text_spec()), await i2v.submit(text_spec(), tenant="story")

    def watch(name: str, tenant: str) -> Any:
        return i2v.jobs.WatchJob(job_pb2.WatchJobRequest(name=name), metadata=caller(tenant))

    watches = [watch(job.name, "studio") for _ in range(2)]
    for each in watches:
        await each.read()
    failure = await refusal(watch(job.name, "studio").read())
    assert facts(failure) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TENANT_WATCHES_LIMIT_REACHED", "2", True)
    assert isinstance(await watch(other.name, "story").read(), job_pb2.WatchJobResponse)
    assert (await i2v.job(job.name)).name == job.name
    for each in watches:
        each.cancel()


async def test_uploads_that_never_begin_have_a_limit_and_an_end(i2v: Served) -> None:
    await i2v.usage()  # the key is known now, so a stream that is open has its place
    uploads = [i2v.assets.WriteAsset(metadata=caller()) for _ in range(2)]
    ends = [asyncio.ensure_future(refusal(upload)) for upload in uploads]
    async with asyncio.timeout(20):
        while sum(metric.value for metric in open_streams(i2v, "WriteAsset")) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    failure = await refusal(i2v.assets.WriteAsset(metadata=caller()))
    assert facts(failure) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TENANT_UPLOADS_LIMIT_REACHED", "2", True)
    cat = Path("tests/golden/cat.png").read_bytes()
    assert (await i2v.upload(cat, tenant="story")).name
    for end in ends:
        assert (await end).reason == "REQUEST_LATE"
    assert (await i2v.upload(cat)).name


async def test_lists_that_are_not_taken_have_a_limit(i2v: Served) -> None:
    await i2v.usage()  # the key is known now
    with ExitStack() as stack:
        reader = RawCaller(i2v.app.server.port, window=0)
        stack.callback(reader.close)
        reader.burst("/i2v.v1.JobService/ListJobs", 2, reset=False, authorization="Bearer studio-key")
        async with asyncio.timeout(60):
            while sum(each.value for each in samples(i2v, "grpc_server_msg_sent_total", "ListJobs")) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        failure = await refusal(i2v.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=caller()))
    assert facts(failure) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TENANT_LISTS_LIMIT_REACHED", "2", True)


async def test_an_upload_that_pauses_for_too_long_ends_and_leaves_nothing(i2v: Served, tmp_path: Path) -> None:
    upload = i2v.assets.WriteAsset(metadata=caller())
    await upload.write(asset_pb2.WriteAssetRequest(header=asset_pb2.WriteAssetHeader(media_type="image/png")))
    await upload.write(asset_pb2.WriteAssetRequest(data=b"some bytes"))
    failure = await refusal(upload)
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "SENDER_STALLED")
    assert not list(tmp_path.rglob("upload-*"))


async def test_paused_downloads_have_a_limit_and_an_end_and_go_on_from_their_offset(
    i2v: Served, tmp_path: Path
) -> None:
    data = a_large_video(tmp_path)
    asset = await i2v.upload(data, "video/mp4")
    paused = [i2v.assets.ReadAsset(asset_pb2.ReadAssetRequest(name=asset.name), metadata=caller()) for _ in range(2)]
    got = [bytearray((await each.read()).data) for each in paused]
    third = i2v.assets.ReadAsset(asset_pb2.ReadAssetRequest(name=asset.name), metadata=caller())
    failure = await refusal(third.read())
    assert facts(failure) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TENANT_DOWNLOADS_LIMIT_REACHED", "2", True)
    async with asyncio.timeout(30):
        while i2v.registry.get_sample_value("i2v_calls_rejected_total", STALLED) != 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    for each, bytes_ in zip(paused, got, strict=True):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while True:
                bytes_ += (await each.read()).data
        failure = from_call(caught.value)
        assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "READER_STALLED")
    got[0] += await i2v.download(asset.name, offset=len(got[0]))
    assert bytes(got[0]) == data


def open_streams(i2v: Served, method: str) -> list[Any]:
    return samples(i2v, "grpc_server_streams_open", method)


def samples(i2v: Served, name: str, method: str) -> list[Any]:
    found = [sample for family in i2v.registry.collect() for sample in family.samples if sample.name == name]
    return [sample for sample in found if sample.labels["grpc_method"] == method]
