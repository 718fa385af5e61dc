"""Signed URLs, and the RPCs that read what they name."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.duration_pb2 import Duration
from i2v.v1 import asset_pb2, job_pb2, signed_asset_pb2, signed_asset_pb2_grpc

from services.rpc.status_codes import from_call
from tests.support import pictures
from tests.support.blob_stores import until
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.s3_fixture import S3Server
from tests.support.served_orchestrator import Served, caller, served

PICTURE = pictures.a_picture()
STUDIO = "https://studio.example/i2v"


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    def change(values: dict[str, Any]) -> None:
        values["studio_url"] = STUDIO

    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, change=change) as running:
        yield running


async def sign(i2v: Served, name: str, who: str = "ann", seconds: int | None = None, **fields: Any) -> Any:
    request = asset_pb2.SignUrlRequest(name=name, **fields)
    if seconds is not None:
        request.expire_in.CopyFrom(Duration(seconds=seconds))
    while True:
        try:
            return await i2v.assets.SignUrl(request, metadata=caller(user=who))
        except grpc.aio.AioRpcError as error:
            # rclone sometimes answers with InternalError when several renditions are stored at a time; the client of
            # the service repeats such calls too.
            if "InternalError" not in (error.details() or ""):
                raise


def token_of(url: asset_pb2.SignedUrl) -> str:
    assert url.url.startswith(f"{STUDIO}/media/")
    return url.url.removeprefix(f"{STUDIO}/media/")


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def signed(i2v: Served) -> Any:
    return signed_asset_pb2_grpc.SignedAssetServiceStub(i2v.channel)


async def get(i2v: Served, token: str) -> signed_asset_pb2.SignedAsset:
    return await signed(i2v).GetSigned(signed_asset_pb2.GetSignedRequest(), metadata=bearer(token))


async def read(i2v: Served, token: str, offset: int = 0, length: int = 0) -> bytes:
    request = signed_asset_pb2.ReadSignedRequest(offset=offset, length=length)
    return b"".join([each.data async for each in signed(i2v).ReadSigned(request, metadata=bearer(token))])


async def reason(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_call(caught.value).reason


async def test_a_signed_url_reads_its_asset_for_a_quarter_of_an_hour(i2v: Served) -> None:
    asset = await i2v.upload(PICTURE)
    before = datetime.now(UTC)
    url = await sign(i2v, asset.name, download_name="猫/кот.png")
    expires = url.expire_time.ToDatetime(tzinfo=UTC)
    assert timedelta(minutes=14, seconds=58) < expires - before < timedelta(minutes=15, seconds=10)

    named = await get(i2v, token_of(url))
    stored = await i2v.download(asset.name)
    assert (named.name, named.media_type, named.size_bytes) == (asset.name, "image/png", len(stored))
    assert named.download_name == "猫_кот.png"
    assert named.expire_time == url.expire_time
    assert await read(i2v, token_of(url)) == stored
    assert await read(i2v, token_of(url), 10, 7) == stored[10:17]
    assert await reason(read(i2v, token_of(url), len(stored) + 1)) == "OFFSET_OUT_OF_RANGE"


async def test_an_altered_token_one_of_another_asset_and_an_expired_one_are_refused(i2v: Served) -> None:
    asset, other = await i2v.upload(PICTURE), await i2v.upload(pictures.a_picture(width=96))
    token = token_of(await sign(i2v, asset.name))
    foreign = token_of(await sign(i2v, other.name))
    assert await reason(get(i2v, token[:-1] + ("A" if token[-1] != "A" else "Q"))) == "SIGNED_URL_WRONG"
    assert await reason(get(i2v, f"{foreign.rpartition('.')[0]}.{token.rpartition('.')[2]}")) == "SIGNED_URL_WRONG"
    assert await reason(get(i2v, "signed.")) == "SIGNED_URL_WRONG"

    short = await sign(i2v, asset.name, seconds=1)

    async def refused() -> bool:
        try:
            await get(i2v, token_of(short))
        except grpc.aio.AioRpcError as error:
            return from_call(error).reason == "SIGNED_URL_EXPIRED"
        return False

    await until(refused)
    assert await reason(read(i2v, token_of(short))) == "SIGNED_URL_EXPIRED"


async def test_a_token_opens_nothing_else_and_a_key_does_not_open_what_a_token_does(i2v: Served) -> None:
    asset = await i2v.upload(PICTURE)
    token = token_of(await sign(i2v, asset.name))
    read_asset = i2v.assets.GetAsset(asset_pb2.GetAssetRequest(name=asset.name), metadata=bearer(token))
    assert await reason(read_asset) == "SIGNED_URL_ONLY"
    assert await reason(i2v.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=bearer(token))) == "SIGNED_URL_ONLY"
    assert await reason(get(i2v, "studio-key")) == "SIGNED_URL_ONLY"


async def test_only_the_owner_signs_and_only_for_as_long_as_is_allowed(i2v: Served) -> None:
    asset = await i2v.upload(PICTURE)
    assert await reason(sign(i2v, asset.name, who="ben")) == "NOT_FOUND"
    assert await reason(sign(i2v, asset.name, seconds=901)) == "URL_EXPIRY_OUT_OF_RANGE"
    assert await reason(sign(i2v, asset.name, seconds=0)) == "URL_EXPIRY_OUT_OF_RANGE"
    assert await reason(sign(i2v, asset.name, method=2)) == "URL_METHOD_UNSUPPORTED"
    assert await reason(sign(i2v, asset.name, variant="waveform")) == "RENDITION_UNSUPPORTED"


async def test_a_folder_without_an_address_for_http_has_no_signed_urls(database: str, tmp_path: Path) -> None:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as i2v:
        asset = await i2v.upload(PICTURE)
        assert await reason(sign(i2v, asset.name)) == "SIGNED_URLS_UNAVAILABLE"


async def test_an_s3_store_serves_its_own_urls(database: str, tmp_path: Path, s3_server: S3Server) -> None:
    def change(values: dict[str, Any]) -> None:
        values |= {
            "blobs": "s3",
            "s3_endpoint": s3_server.endpoint,
            "s3_access_key": s3_server.access_key,
            "s3_secret_key": s3_server.secret_key,
            "s3_bucket": "i2v-test",
            "s3_secure": False,
        }

    async with (
        served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, change=change) as i2v,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        asset = await i2v.upload(PICTURE)
        stored = await i2v.download(asset.name)
        url = (await sign(i2v, asset.name, download_name="кот.png")).url
        assert url.startswith(f"http://{s3_server.endpoint}/")
        part = await http.get(url, headers={"Range": "bytes=5-9"})
        assert part.content == stored[5:10]  # rclone answers with 200 here, other stores with 206
        small = (await sign(i2v, asset.name, variant="thumbnail-128")).url
        assert (await http.get(small)).content[8:12] == b"WEBP"
        assert (await http.get(url.replace(asset.name.removeprefix("assets/"), "0" * 64))).status_code == 403


async def test_the_command_prints_a_url(i2v: Served, tmp_path: Path) -> None:
    asset = await i2v.upload(PICTURE)
    run = Command(i2v.address, tmp_path)
    ended = await run(
        "--user", "ann", "assets", "url", asset.name, "--name", "кот.png", "--expires", "1m", key="studio-key"
    )
    assert ended.code == 0, ended.err
    assert (await get(i2v, token_of(asset_pb2.SignedUrl(url=ended.out.strip())))).download_name == "кот.png"
