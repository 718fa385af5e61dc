"""Bytes that are removed while they are read: the reader gets all of them, or an error, and never other bytes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.errors import NotFound, Unavailable
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.ports.blobs import Blobs
from tests.support.blob_stores import MIB, a_file, a_key, minio


@pytest.fixture(params=["local", "rclone"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    local = request.param == "local"
    made: Blobs = LocalBlobs(tmp_path / "blobs") if local else minio(request.getfixturevalue("s3_server"))
    yield made
    await made.close()


@pytest.mark.parametrize("offset", [0, 3 * MIB + 1])
async def test_a_reader_of_removed_bytes_has_them_all_or_an_error(blobs: Blobs, tmp_path: Path, offset: int) -> None:
    key, (path, data) = a_key(), a_file(tmp_path, 24 * MIB)
    await blobs.put_file(key, path, media_type="video/mp4")
    reading = blobs.read(key, offset=offset)
    received = await anext(reading)
    await blobs.delete(key)
    failed = False
    try:
        async for chunk in reading:
            received += chunk
    except (NotFound, Unavailable):
        failed = True
    assert data[offset:].startswith(received)
    assert failed or len(received) == len(data) - offset
    with pytest.raises(NotFound):
        await anext(blobs.read(key))


async def test_a_reader_never_sees_a_mix_of_two_files(blobs: Blobs, tmp_path: Path) -> None:
    key, (path, data) = a_key(), a_file(tmp_path, 24 * MIB)
    await blobs.put_file(key, path, media_type="image/png")
    reading = blobs.read(key)
    received = await anext(reading)
    (tmp_path / "other").mkdir()
    other, _ = a_file(tmp_path / "other", 24 * MIB)
    await blobs.put_file(key, other, media_type="image/png")
    try:
        async for chunk in reading:
            received += chunk
    except (NotFound, Unavailable):
        assert data.startswith(received)
    else:
        assert received == data
