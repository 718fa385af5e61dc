"""Two stores between which blobs move, as far as it matters in which of them something is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.errors import NotFound, Unavailable
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.blobs.moving import MovingBlobs
from services.orchestrator.ports.blobs import Blobs
from tests.support.blob_stores import RUN, a_key, content, minio
from tests.support.s3_fixture import S3Server


@pytest_asyncio.fixture
async def moving(tmp_path: Path) -> AsyncIterator[MovingBlobs]:
    made = MovingBlobs(LocalBlobs(tmp_path / "new"), LocalBlobs(tmp_path / "old"))
    yield made
    await made.close()


async def put(blobs: Blobs, key: str, folder: Path, data: bytes) -> None:
    source = folder / "source"
    source.unlink(missing_ok=True)
    source.write_bytes(data)
    await blobs.put_file(key, source, media_type="video/mp4")


async def test_what_the_old_store_alone_has_is_read_there(moving: MovingBlobs, tmp_path: Path) -> None:
    key = a_key()
    await put(moving.old, key, tmp_path, b"0123456789")
    assert await content(moving, key) == b"0123456789"
    assert await content(moving, key, 3, 4) == b"3456"
    assert await content(moving, key, 99) == b""
    assert await moving.size(key) == 10


async def test_the_new_store_comes_first(moving: MovingBlobs, tmp_path: Path) -> None:
    key = a_key()
    await put(moving.old, key, tmp_path, b"old")
    await put(moving, key, tmp_path, b"newer")
    assert await content(moving, key) == b"newer"
    assert (await moving.size(key), await moving.old.size(key)) == (5, 3)


async def test_what_is_written_goes_to_the_new_store_alone(moving: MovingBlobs, tmp_path: Path) -> None:
    key = a_key()
    await put(moving, key, tmp_path, b"bytes")
    assert (await moving.new.size(key), await moving.old.size(key)) == (5, None)


async def test_a_checkpoint_is_in_one_store_only(moving: MovingBlobs, tmp_path: Path) -> None:
    key = "checkpoints/job.0001"
    await put(moving.old, key, tmp_path, b"old")
    await put(moving, key, tmp_path, b"new")
    assert (await content(moving, key), await moving.old.size(key)) == (b"new", None)


async def test_what_is_deleted_is_in_neither_store(moving: MovingBlobs, tmp_path: Path) -> None:
    for key, stores in ((a_key(), (moving.old,)), (a_key(), (moving.new,)), (a_key(), (moving.old, moving.new))):
        for store in stores:
            await put(store, key, tmp_path, b"bytes")
        await moving.delete(key)
        assert await moving.size(key) is None
        with pytest.raises(NotFound):
            await content(moving, key)


async def test_nothing_idle_is_removed_while_one_store_has_a_young_one(moving: MovingBlobs, tmp_path: Path) -> None:
    key = a_key()
    for store in (moving.old, moving.new):
        await put(store, key, tmp_path, b"bytes")
    assert not await moving.delete_idle(key, idle_s=3600)
    assert await content(moving, key) == b"bytes"
    assert await moving.delete_idle(key, idle_s=-3600)
    assert await moving.size(key) is None


async def test_a_list_has_the_keys_of_both_once_and_in_order(moving: MovingBlobs, tmp_path: Path) -> None:
    folder = f"checks-{RUN}/"
    for store, names in ((moving.old, "abdf"), (moving.new, "bceg")):
        for name in names:
            await put(store, f"{folder}{name}", tmp_path, b"1" if store is moving.old else b"22")
    found = []
    while page := await moving.stored(folder, after=found[-1].key if found else "", limit=2):
        found += page
    assert [(each.key[-1], each.size_bytes) for each in found] == [
        ("a", 1), ("b", 2), ("c", 2), ("d", 1), ("e", 2), ("f", 1), ("g", 2),
    ]  # fmt: skip


async def test_a_signed_url_leads_to_the_store_that_has_the_bytes(s3_server: S3Server, tmp_path: Path) -> None:
    s3, folder, key = minio(s3_server), LocalBlobs(tmp_path / "folder"), a_key()

    async def has_url(blobs: Blobs) -> bool:
        return await blobs.signed_url(key, expires_s=60, download_name="", media_type="video/mp4") is not None

    to_s3, from_s3 = MovingBlobs(s3, folder), MovingBlobs(folder, s3)
    await put(folder, key, tmp_path, b"bytes")
    assert (await has_url(to_s3), await has_url(from_s3)) == (False, False)
    await folder.delete(key)
    await put(s3, key, tmp_path, b"bytes")
    assert (await has_url(to_s3), await has_url(from_s3)) == (True, True)
    assert await from_s3.signed_post(key, most_bytes=1, expires_s=60) is None
    await to_s3.close()


async def test_an_old_store_that_is_away_is_not_taken_for_an_empty_one(moving: MovingBlobs, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    away = MovingBlobs(moving.new, LocalBlobs(tmp_path / "loop"))
    key = a_key()
    with pytest.raises(Unavailable):
        await away.size(key)
    with pytest.raises(Unavailable):
        await content(away, key)
    await away.check()
    await away.old.close()
