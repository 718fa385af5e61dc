"""Live URLs, and the RPCs that read what they name."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.v1 import asset_pb2, job_pb2, live_pb2

from services.rpc.status_codes import from_call
from tests.support.blob_stores import until
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.live_rig import live_calls, sign
from tests.support.served_orchestrator import Served, caller, served, text_spec

STUDIO = "https://studio.example/i2v"


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    def change(values: dict[str, Any]) -> None:
        values["studio_url"] = STUDIO

    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, change=change) as running:
        yield running


async def made(i2v: Served, prompt: str = "a wave", **who: str) -> job_pb2.Job:
    job = await i2v.submit(text_spec(prompt), **who)
    return await i2v.ended(job.name, **who)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def get(i2v: Served, token: str) -> live_pb2.Live:
    return await live_calls(i2v).GetLive(live_pb2.GetLiveRequest(), metadata=bearer(token))


async def read(i2v: Served, token: str, asset: str, offset: int = 0, length: int = 0) -> bytes:
    request = live_pb2.ReadFragmentRequest(asset=asset, offset=offset, length=length)
    return b"".join([each.data async for each in live_calls(i2v).ReadFragment(request, metadata=bearer(token))])


async def reason(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_call(caught.value).reason


async def test_a_live_url_reads_the_fragments_of_its_job_for_an_hour(i2v: Served) -> None:
    job, before = await made(i2v), datetime.now(UTC)
    url = await sign(i2v, job.name)
    where = f"{STUDIO}/v1/videos/video_{job.name.removeprefix('jobs/')}/live.m3u8?token="
    assert url.url == where + url.token
    expires = url.expire_time.ToDatetime(tzinfo=UTC)
    assert timedelta(minutes=59, seconds=50) < expires - before < timedelta(minutes=60, seconds=10)
    live = await get(i2v, url.token)
    assert (live.job, live.ended, live.fps, live.expire_time) == (job.name, True, 8, url.expire_time)
    assert (live.size.width, live.size.height) == (64, 32)
    assert [(each.index, each.frames) for each in live.fragments] == [(0, 4), (1, 4)]
    for each in live.fragments:
        data = await read(i2v, url.token, each.asset)
        assert (f"assets/{hashlib.sha256(data).hexdigest()}", len(data)) == (each.asset, each.size_bytes)
        assert await read(i2v, url.token, each.asset, 10, 20) == data[10:30]
    assert await reason(read(i2v, url.token, each.asset, len(data) + 1)) == "OFFSET_OUT_OF_RANGE"
    listed = await i2v.assets.GetAsset(asset_pb2.GetAssetRequest(name=job.output.asset), metadata=caller())
    assert listed.downloads == 0


async def test_a_job_that_waits_has_a_url_without_fragments(database: str, tmp_path: Path) -> None:
    backend = ScriptedBackend()
    backend.gate.clear()
    async with served(database, tmp_path, {"test": (backend, 1)}) as i2v:
        await i2v.submit(text_spec())
        job = await i2v.submit(text_spec("another"))
        url = await sign(i2v, job.name)
        assert url.url.startswith("/v1/videos/video_")  # nothing says where the HTTP process is
        live = await get(i2v, url.token)
        assert (live.ended, list(live.fragments), live.fps) == (False, [], 0)
        await i2v.cancel(job.name)
        assert await reason(get(i2v, url.token)) == "LIVE_UNAVAILABLE"
        assert await reason(sign(i2v, job.name)) == "LIVE_UNAVAILABLE"
        backend.gate.set()


async def test_an_altered_token_one_of_another_job_and_an_expired_one_are_refused(i2v: Served) -> None:
    job, other = await made(i2v), await made(i2v, "another")
    token, foreign = (await sign(i2v, job.name)).token, (await sign(i2v, other.name)).token
    assert await reason(get(i2v, token[:-1] + ("A" if token[-1] != "A" else "Q"))) == "SIGNED_URL_WRONG"
    assert await reason(get(i2v, f"{foreign.rpartition('.')[0]}.{token.rpartition('.')[2]}")) == "SIGNED_URL_WRONG"
    assert await reason(get(i2v, "live.")) == "SIGNED_URL_WRONG"
    assert await reason(get(i2v, "signed." + token.removeprefix("live."))) == "SIGNED_URL_WRONG"
    strange = (await get(i2v, foreign)).fragments[0].asset
    assert await reason(read(i2v, token, strange)) == "NOT_FOUND"
    assert await reason(read(i2v, token, job.output.asset)) == "NOT_FOUND"  # the video is no fragment
    assert await reason(read(i2v, token, "assets/../../etc/passwd")) == "NAME_MALFORMED"
    short = (await sign(i2v, job.name, seconds=1)).token

    async def expired() -> bool:
        try:
            await get(i2v, short)
        except grpc.aio.AioRpcError as error:
            return from_call(error).reason == "SIGNED_URL_EXPIRED"
        return False

    await until(expired)


async def test_a_token_opens_nothing_else_and_a_key_does_not_open_what_a_token_does(i2v: Served) -> None:
    job = await made(i2v)
    token = (await sign(i2v, job.name)).token
    assert (
        await reason(i2v.jobs.GetJob(job_pb2.GetJobRequest(name=job.name), metadata=bearer(token))) == "LIVE_URL_ONLY"
    )
    get_asset = asset_pb2.GetAssetRequest(name=job.output.asset)
    assert await reason(i2v.assets.GetAsset(get_asset, metadata=bearer(token))) == "LIVE_URL_ONLY"
    assert await reason(get(i2v, "studio-key")) == "LIVE_URL_ONLY"
    signed = await i2v.assets.SignUrl(asset_pb2.SignUrlRequest(name=job.output.asset), metadata=caller())
    assert await reason(get(i2v, signed.url.rpartition("/")[2])) == "SIGNED_URL_ONLY"
    again = live_calls(i2v).SignLiveUrl(live_pb2.SignLiveUrlRequest(name=job.name), metadata=bearer(token))
    assert await reason(again) == "LIVE_URL_ONLY"


async def test_only_the_owner_signs_and_only_for_as_long_as_is_allowed(i2v: Served) -> None:
    job = await made(i2v)
    assert await reason(sign(i2v, job.name, user="ben")) == "NOT_FOUND"
    assert await reason(sign(i2v, job.name, tenant="story")) == "NOT_FOUND"
    assert await reason(sign(i2v, "jobs/none")) == "NOT_FOUND"
    assert await reason(sign(i2v, "nothing")) == "NAME_MALFORMED"
    assert await reason(sign(i2v, job.name, seconds=86_401)) == "URL_EXPIRY_OUT_OF_RANGE"
    assert await reason(sign(i2v, job.name, seconds=-1)) == "URL_EXPIRY_OUT_OF_RANGE"


async def test_a_deleted_video_has_no_live_url_until_it_is_restored(i2v: Served) -> None:
    # A second job with the same fragments keeps their bytes; its own video stays.
    spec = text_spec(seed=5)
    job = await i2v.ended((await i2v.submit(spec)).name)
    other = await i2v.ended((await i2v.submit(spec)).name)
    token, kept = (await sign(i2v, job.name)).token, (await sign(i2v, other.name)).token
    (first, *_) = (await get(i2v, token)).fragments
    name = asset_pb2.DeleteAssetRequest(name=job.output.asset)
    await i2v.assets.DeleteAsset(name, metadata=caller())
    assert await reason(get(i2v, token)) == "NOT_FOUND"
    assert await reason(read(i2v, token, first.asset)) == "NOT_FOUND"
    assert await reason(sign(i2v, job.name)) == "NOT_FOUND"
    assert (await get(i2v, kept)).fragments[0].asset == first.asset
    await i2v.assets.RestoreAsset(asset_pb2.RestoreAssetRequest(name=job.output.asset), metadata=caller())
    assert len((await get(i2v, token)).fragments) == 2


async def test_the_command_prints_a_url_and_how_to_open_it(i2v: Served, tmp_path: Path) -> None:
    job = await made(i2v)
    run = Command(i2v.address, tmp_path)
    ended = await run("--user", "ann", "live", job.name, "--expires", "10m", key="studio-key")
    assert ended.code == 0, ended.err
    assert ended.out.startswith(f"{STUDIO}/v1/videos/video_")
    assert "ffplay" in ended.err and "VLC" in ended.err
    assert (await get(i2v, ended.out.strip().partition("token=")[2])).job == job.name
    missing = await run("--user", "ben", "live", job.name, key="studio-key")
    assert (missing.code, missing.out) == (6, "")
