"""Uploads under any media type: the role decides what is expected, the bytes decide what the file is, on every path."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from i2v_client import AsyncClient
from i2v_client.errors import InvalidRequest
from tests.support import pictures, sounds
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, served

PNG, JPEG = pictures.a_picture(), pictures.a_picture(form="JPEG")
MP3, M4A, WAV = (sounds.a_sound(f"audio/{name}", 2.0) for name in ("mpeg", "mp4", "wav"))


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as running:
        yield running


@pytest.mark.parametrize(
    ("media_type", "data", "found"),
    [
        ("image/jpg", JPEG, "image/jpeg"),
        ("IMAGE/PNG", PNG, "image/png"),
        ("image/png; charset=binary", PNG, "image/png"),
        ("image/png", JPEG, "image/jpeg"),
        ("image/heic", PNG, "image/png"),
        ("image/*", PNG, "image/png"),
        ("audio/mp3", MP3, "audio/mpeg"),
        ("audio/x-wav", WAV, "audio/wav"),
        ("Audio/X-M4A", M4A, "audio/mp4"),
        ("audio/mpeg", sounds.branded(M4A, b"mp42"), "audio/mp4"),
        ("audio/*", sounds.branded(M4A, b"dash"), "audio/mp4"),
        ("video/mp4", sounds.a_film(), "video/mp4"),
        ("", PNG, "image/png"),
        ("", MP3, "audio/mpeg"),
        ("", sounds.a_film(), "video/mp4"),
        ("", sounds.branded(M4A, b"isom"), "audio/mp4"),
        ("application/octet-stream", sounds.branded(M4A, b"3gp4"), "audio/mp4"),
        ("application/octet-stream", JPEG, "image/jpeg"),
    ],
)
async def test_a_media_type_says_what_a_file_is_for_and_its_bytes_what_it_is(
    i2v: Served, media_type: str, data: bytes, found: str
) -> None:
    assert (await i2v.upload(data, media_type)).media_type == found


async def test_the_client_and_a_caller_of_the_api_get_the_same_asset(i2v: Served, tmp_path: Path) -> None:
    (tmp_path / "memo.m4a").write_bytes(sounds.branded(M4A, b"mp42"))
    async with AsyncClient(i2v.address, "studio-key", "ann") as client:
        by_client = await client.upload(tmp_path / "memo.m4a", "audio/*")
        assert await client.upload(tmp_path / "memo.m4a") == by_client
        with pytest.raises(InvalidRequest, match="is an MP4 video; send a PNG"):
            await client.upload(tmp_path / "memo.m4a", "image/*")
    assert await i2v.upload((tmp_path / "memo.m4a").read_bytes(), "audio/mp4") == by_client
    assert (by_client.duration.seconds, by_client.duration.nanos) == (2, 0)


async def test_a_sound_refused_as_a_picture_is_not_stored(i2v: Served, tmp_path: Path) -> None:
    async with AsyncClient(i2v.address, "studio-key", "ann") as client:
        for data, media_type in ((MP3, "image/*"), (PNG, "audio/*"), (PNG, "video/*"), (b"%PDF-1.7", "")):
            with pytest.raises(InvalidRequest):
                await client.upload(data, media_type)
    assert [file for file in (tmp_path / "blobs").rglob("*") if file.is_file()] == []


async def test_a_tenant_with_many_slow_pictures_does_not_hold_up_another(i2v: Served) -> None:
    slow = pictures.encoded(pictures.noisy(2500, 2000), "JPEG", quality=70, progressive=True)
    finished: list[str] = []

    async def upload(tenant: str, data: bytes, number: int) -> None:
        await i2v.upload(data, "image/*", tenant=tenant, user=f"user-{number}")
        finished.append(tenant)

    await asyncio.gather(upload("story", PNG, 10), upload("studio", PNG, 10))  # both decoders have started
    finished.clear()
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(upload("story", slow, number))
        group.create_task(upload("studio", PNG, 0))
    assert "studio" in finished[:5]
