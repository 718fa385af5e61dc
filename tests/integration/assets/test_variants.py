"""Renditions through the service: made once, read like the asset, and gone with it."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import sqlalchemy as sa
from i2v.v1 import asset_pb2, job_pb2
from PIL import Image

from i2v_client import AsyncClient
from i2v_client.errors import I2VError
from services.orchestrator.media.video_writer import VideoWriter
from tests.support import pictures, sounds
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served, caller, served, text_spec

PNG = pictures.a_picture()


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path / "data", {"test": (ScriptedBackend(), 1)}) as running:
        yield running


def a_video(folder: Path) -> bytes:
    writer = VideoWriter(320, 180, 16)
    writer.add(np.full((16, 180, 320, 3), (40, 180, 40), np.uint8))
    writer.finish(folder / "video.mp4")
    return (folder / "video.mp4").read_bytes()


async def rendition(i2v: Served, name: str, variant: str, **who: str) -> asset_pb2.Rendition:
    request = asset_pb2.GetRenditionRequest(name=name, variant=variant)
    found: asset_pb2.Rendition = await i2v.assets.GetRendition(request, metadata=caller(**who))
    return found


async def read(i2v: Served, name: str, variant: str, offset: int = 0, **who: str) -> bytes:
    request = asset_pb2.ReadAssetRequest(name=name, variant=variant, offset=offset)
    return b"".join([answer.data async for answer in i2v.assets.ReadAsset(request, metadata=caller(**who))])


def counted(i2v: Served, variant: str, result: str) -> float:
    return i2v.registry.get_sample_value("i2v_renditions_total", {"variant": variant, "result": result}) or 0


async def test_a_variant_is_read_like_the_asset_and_made_once(i2v: Served, tmp_path: Path) -> None:
    video = await i2v.upload(a_video(tmp_path), "video/mp4")
    many = await asyncio.gather(*(read(i2v, video.name, "poster") for _ in range(5)))
    assert set(many) == {many[0]}
    found = await rendition(i2v, video.name, "poster")
    assert (found.asset, found.variant, found.media_type) == (video.name, "poster", "image/jpeg")
    assert (found.size_bytes, found.size.width, found.size.height) == (len(many[0]), 320, 180)
    with Image.open(io.BytesIO(many[0])) as image:
        assert image.size == (320, 180)
    assert await read(i2v, video.name, "poster", offset=100) == many[0][100:]
    await read(i2v, video.name, "thumbnail-128")  # came with the poster
    assert [counted(i2v, name, "made") for name in ("poster", "thumbnail-128")] == [1, 1]
    assert i2v.registry.get_sample_value("i2v_rendition_seconds_count", {"recipe": "stills"}) == 1
    text = await rendition(i2v, video.name, "storyboard.vtt")
    assert text.media_type == "text/vtt" and not text.HasField("size")


@pytest.mark.parametrize(
    ("data", "media_type", "variants", "other"),
    [
        (PNG, "image/png", ["thumbnail-128", "thumbnail-256", "thumbnail-512"], "poster"),
        (sounds.a_sound("audio/mpeg"), "audio/mpeg", ["waveform"], "thumbnail-128"),
        (sounds.a_film(), "video/mp4", ["poster", "preview", "storyboard", "storyboard.vtt", "contact"], "waveform"),
    ],
)
async def test_each_type_has_its_variants_and_refuses_others(
    i2v: Served, data: bytes, media_type: str, variants: list[str], other: str
) -> None:
    asset = await i2v.upload(data, media_type)
    for variant in variants:
        assert await read(i2v, asset.name, variant)
    async with AsyncClient(i2v.address, "studio-key", "ann") as client:
        for unknown, reason in ((other, "RENDITION_UNSUPPORTED"), ("../poster", "RENDITION_UNKNOWN")):
            with pytest.raises(I2VError, match=variants[0]) as refused:
                await client.download(asset.name, io.BytesIO(), variant=unknown)
            assert refused.value.reason == reason


async def test_a_variant_needs_the_same_rights_as_the_asset(i2v: Served) -> None:
    asset = await i2v.upload(PNG, "image/png")
    await read(i2v, asset.name, "thumbnail-128")
    for who in ({"user": "bob"}, {"tenant": "story"}):
        for ask in (read, rendition):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask(i2v, asset.name, "thumbnail-128", **who)
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_rendition_that_fails_is_no_failure_of_its_asset_and_is_not_tried_at_every_call(
    i2v: Served, tmp_path: Path
) -> None:
    video = await i2v.upload(a_video(tmp_path), "video/mp4")
    sha256 = video.name.removeprefix("assets/")
    (blob,) = (file for file in (tmp_path / "data" / "blobs").rglob(sha256) if file.is_file())
    blob.unlink()
    blob.write_bytes(bytes(1000))
    async with AsyncClient(i2v.address, "studio-key", "ann") as client:
        for _ in range(3):
            with pytest.raises(I2VError, match="cannot be made: its data cannot be decoded") as refused:
                await client.download(video.name, io.BytesIO(), variant="contact")
            assert refused.value.reason == "RENDITION_FAILED"
    assert counted(i2v, "contact", "failed") == 1
    assert await i2v.download(video.name) == bytes(1000)


async def test_the_command_downloads_a_variant(i2v: Served, tmp_path: Path) -> None:
    asset = await i2v.upload(PNG, "image/png")
    command = Command(i2v.address, tmp_path)
    out = tmp_path / "small.webp"
    ended = await command(
        "download", asset.name, "--variant", "thumbnail-128", "--out", str(out), key="studio-key", I2V_USER="ann"
    )
    assert ended.code == 0
    with Image.open(out) as image:
        assert image.format == "WEBP"


async def test_the_video_of_a_job_has_a_poster_and_a_hash_soon_after_the_job_has_ended(i2v: Served) -> None:
    job = await i2v.ended((await i2v.submit(text_spec())).name)
    assert job.state == job_pb2.Job.SUCCEEDED
    while not counted(i2v, "poster", "made") + counted(i2v, "poster", "failed"):  # noqa: ASYNC110  Another task counts.
        await asyncio.sleep(0.05)
    assert counted(i2v, "poster", "made") == 1
    query = sa.text("SELECT phash FROM library_entries WHERE job_id = :id")
    async with i2v.app.store.database.reading() as connection:
        found = (await connection.execute(query, {"id": job.name.removeprefix("jobs/")})).scalar_one()
    assert found is not None


async def test_an_uploaded_picture_has_a_hash_with_its_upload(i2v: Served) -> None:
    await i2v.upload(PNG, "image/png")
    async with i2v.app.store.database.reading() as connection:
        assert (await connection.execute(sa.text("SELECT phash FROM library_entries"))).scalar_one() is not None
