"""What every Blobs keeps: a folder, a real S3 server run for the tests, two stores between which blobs move, a Ceph RGW
that is run for the tests where it can be, and any other S3 that is named.

To run it against another one, give it by I2V_TEST_S3_ENDPOINT, I2V_TEST_S3_ACCESS_KEY and I2V_TEST_S3_SECRET_KEY;
the bucket `i2v-test` is used there, under keys of this run's own.
"""

import asyncio
import hashlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from services.errors import NotFound, Unavailable
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.blobs.moving import MovingBlobs
from services.orchestrator.ports.blobs import Blobs
from tests.support.blob_stores import MIB, RUN, a_file, a_key, content, in_a_process, minio, s3_named, until
from tests.support.s3_fixture import S3Server


@dataclass(frozen=True)
class Place:
    """An implementation, and what a test must know to make it fail."""

    blobs: Blobs
    server: S3Server | None = None


@pytest_asyncio.fixture(params=["local", "rclone", "folders", "folder-to-rclone", "rclone-to-folder", "rgw", "outside"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    match request.param:
        case "local":
            made = Place(LocalBlobs(tmp_path / "blobs"))
        case "folders":
            made = Place(MovingBlobs(LocalBlobs(tmp_path / "new"), LocalBlobs(tmp_path / "old")))
        case "folder-to-rclone":
            server: S3Server = request.getfixturevalue("s3_server")
            made = Place(MovingBlobs(minio(server), LocalBlobs(tmp_path / "old")), server)
        case "rclone-to-folder":
            server = request.getfixturevalue("s3_server")
            made = Place(MovingBlobs(LocalBlobs(tmp_path / "new"), minio(server)))
        case name:
            server = s3_named(name, request)
            made = Place(minio(server), server)
    yield made
    await made.blobs.close()


@pytest.mark.parametrize("size", [0, 1, 22 * MIB + 1])
async def test_what_was_put_is_read(place: Place, tmp_path: Path, size: int) -> None:
    key, (path, data) = a_key(), a_file(tmp_path, size)
    await place.blobs.put_file(key, path, media_type="video/mp4")
    assert await place.blobs.size(key) == size
    assert hashlib.sha256(await content(place.blobs, key)).digest() == hashlib.sha256(data).digest()
    assert path.read_bytes() == data, "the file stays as it was"


async def test_reading_starts_at_an_offset_and_ends_at_the_end(place: Place, tmp_path: Path) -> None:
    key, (path, data) = a_key(), a_file(tmp_path, 3 * MIB + 7)
    await place.blobs.put_file(key, path, media_type="video/mp4")
    for offset in (0, 1, MIB, 3 * MIB + 6, 3 * MIB + 7, 9 * MIB):
        assert await content(place.blobs, key, offset) == data[offset:]
    with pytest.raises(ValueError, match="not negative"):
        place.blobs.read(key, offset=-1)


async def test_a_range_is_read_and_no_byte_more(place: Place, tmp_path: Path) -> None:
    key, (path, data) = a_key(), a_file(tmp_path, 2 * MIB + 7)
    await place.blobs.put_file(key, path, media_type="video/mp4")
    for offset, length in ((0, 1), (0, MIB), (5, MIB + 1), (2 * MIB, 7), (2 * MIB, 99), (0, 9 * MIB), (3 * MIB, 1)):
        assert await content(place.blobs, key, offset, length) == data[offset : offset + length]
    for length in (0, -1):
        with pytest.raises(ValueError, match="at least 1"):
            place.blobs.read(key, length=length)
    with pytest.raises(NotFound):
        await content(place.blobs, a_key(), 0, 1)


async def test_what_is_not_there_is_not_found(place: Place) -> None:
    key = a_key()
    assert await place.blobs.size(key) is None
    for offset in (0, 5):
        with pytest.raises(NotFound) as caught:
            await content(place.blobs, key, offset)
        # Whose it is stays inside: the error may reach a caller.
        assert (caught.value.kind, caught.value.name) == ("blob", key.rpartition("/")[2])
    await place.blobs.delete(key)


async def test_what_was_deleted_is_gone(place: Place, tmp_path: Path) -> None:
    key, (path, _) = a_key(), a_file(tmp_path, 9)
    await place.blobs.put_file(key, path, media_type="image/png")
    await place.blobs.delete(key)
    assert await place.blobs.size(key) is None
    await place.blobs.delete(key)
    await place.blobs.put_file(key, path, media_type="image/png")
    assert await place.blobs.size(key) == 9


async def test_putting_again_replaces(place: Place, tmp_path: Path) -> None:
    key = a_key()
    for size in (100, 100, MIB, 7):
        path, data = a_file(tmp_path, size)
        await place.blobs.put_file(key, path, media_type="video/mp4")
        assert await content(place.blobs, key) == data


async def test_putting_the_same_key_at_once_leaves_one_of_them_whole(place: Place, tmp_path: Path) -> None:
    if place.server and place.server.pid:
        pytest.skip("rclone writes in place, so it mixes them; name a real S3 by I2V_TEST_S3_ENDPOINT and the keys")
    key = a_key()
    contents = [secrets.token_bytes(300_000) for _ in range(8)]
    for number, data in enumerate(contents):
        (tmp_path / str(number)).write_bytes(data)
    puts = (place.blobs.put_file(key, tmp_path / str(number), media_type="video/mp4") for number in range(8))
    await asyncio.gather(*puts)
    assert await content(place.blobs, key) in contents


async def test_many_readers_at_once_all_get_everything(place: Place, tmp_path: Path) -> None:
    key, (path, data) = a_key(), a_file(tmp_path, 2 * MIB + 5)
    await place.blobs.put_file(key, path, media_type="video/mp4")
    assert set(await asyncio.gather(*(content(place.blobs, key) for _ in range(30)))) == {data}


async def test_it_can_be_asked_whether_it_takes_writes(place: Place) -> None:
    await place.blobs.check()
    await place.blobs.check()


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../out", "a/../../out", "a//b", "a/", "a/./b", ".hidden", "a/.put-x", "a\\b", "a\0b", "a b",
     "a\n", "ä", "a" * 256, "a/" * 300 + "a", "C:x", "%2e%2e/x"],
    ids=repr,
)  # fmt: skip
async def test_a_key_that_could_lead_elsewhere_is_refused(place: Place, tmp_path: Path, key: str) -> None:
    path, _ = a_file(tmp_path, 1)
    with pytest.raises(ValueError, match="not a blob key"):
        await place.blobs.put_file(key, path, media_type="image/png")
    for method in (place.blobs.size, place.blobs.delete, place.blobs.read):
        with pytest.raises(ValueError, match="not a blob key"):
            await method(key)  # type: ignore[misc]


def open_things() -> list[str]:
    """Files and sockets that this process holds."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return [name for name in found if name.startswith("socket:") or "/assets/" in name]


async def test_whoever_stops_reading_leaves_nothing_open(place: Place, tmp_path: Path) -> None:
    key, (path, _) = a_key(), a_file(tmp_path, 22 * MIB)
    await place.blobs.put_file(key, path, media_type="video/mp4")
    before = len(open_things())

    async def all_closed() -> bool:
        return len(open_things()) <= before

    for _ in range(3):
        async with aclosing(place.blobs.read(key)) as chunks:  # type: ignore[type-var]
            async for _ in chunks:
                break
    await until(all_closed)

    async def read_slowly(first: asyncio.Event) -> None:
        async for _ in place.blobs.read(key):
            first.set()
            await asyncio.Event().wait()

    for _ in range(3):
        started = asyncio.Event()
        reading = asyncio.create_task(read_slowly(started))
        await started.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    await until(all_closed)

    for _ in range(20):  # while it is being opened
        reading = asyncio.create_task(content(place.blobs, key))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    await until(all_closed)


async def test_a_put_of_a_file_that_is_missing_leaves_nothing(place: Place, tmp_path: Path) -> None:
    key = a_key()
    with pytest.raises(Unavailable):
        await place.blobs.put_file(key, tmp_path / "missing", media_type="video/mp4")
    assert await place.blobs.size(key) is None


async def test_a_folder_holds_nothing_but_its_blobs(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    path, _ = a_file(tmp_path, 1000)
    for _ in range(3):  # the same file: renaming one name of it to another would do nothing, and leave both
        await blobs.put_file("tenants/t/assets/video", path, media_type="video/mp4")
    path.unlink()
    assert len(await content(blobs, "tenants/t/assets/video")) == 1000
    assert [found.name for found in (tmp_path / "blobs" / "tenants").rglob("*")] == ["t", "assets", "video"]
    assert {found.name for found in (tmp_path / "blobs" / ".parts").rglob("*") if found.is_file()} == {"lock", ".lock"}
    await blobs.close()
    assert [found.name for found in (tmp_path / "blobs" / ".parts").iterdir()] == [".lock"]
    await blobs.close()


@pytest.mark.parametrize("kind", ["local", "rclone"])
def test_memory_stays_flat_however_large_the_blob(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(secrets.token_bytes(MIB))
    if kind == "local":
        made = f"LocalBlobs(Path({str(tmp_path / 'blobs')!r}))"
    else:
        server: S3Server = request.getfixturevalue("s3_server")
        made = f"MinioBlobs(S3Bucket({server.endpoint!r}, {server.access_key!r}, {server.secret_key!r}, 'i2v-test'))"
    script = f"""
        import asyncio, resource
        from pathlib import Path
        from services.orchestrator.blobs.local import LocalBlobs
        from services.orchestrator.blobs.minio import MinioBlobs
        from services.orchestrator.blobs.s3_bucket import S3Bucket
        async def main():
            blobs = {made}
            await blobs.check()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            await blobs.put_file("large-{RUN}", Path({str(path)!r}), media_type="video/mp4")
            read = 0
            async for chunk in blobs.read("large-{RUN}"):
                read += len(chunk)
            await blobs.delete("large-{RUN}")
            await blobs.close()
            print(read, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        asyncio.run(main())
    """
    read, grown_kib = map(int, in_a_process(script).split())
    assert read == 200 * MIB
    assert grown_kib < 64 * 1024
    shutil.rmtree(tmp_path / "blobs", ignore_errors=True)
    path.unlink()


async def test_what_was_just_written_is_not_idle(place: Place, tmp_path: Path) -> None:
    key, (path, data) = a_key(), a_file(tmp_path, 5)
    await place.blobs.put_file(key, path, media_type="video/mp4")
    assert not await place.blobs.delete_idle(key, idle_s=3600)
    assert await content(place.blobs, key) == data
    assert await place.blobs.delete_idle(key, idle_s=-3600)  # clocks of two machines differ
    assert await place.blobs.size(key) is None
    assert await place.blobs.delete_idle(key, idle_s=3600)


async def test_what_is_stored_in_a_folder_is_listed_in_pages(place: Place, tmp_path: Path) -> None:
    folder = f"checks-{RUN}-{secrets.token_hex(4)}/"
    names = [f"{folder}job.{index:04d}" for index in (2, 0, 10, 1)]
    assert await place.blobs.stored(folder, after="", limit=3) == []
    for name in names:
        await place.blobs.put_file(name, a_file(tmp_path, 1)[0], media_type="video/mp4")
    first = await place.blobs.stored(folder, after="", limit=3)
    rest = await place.blobs.stored(folder, after=first[-1].key, limit=3)
    assert [each.key for each in (*first, *rest)] == sorted(names)
    assert all(abs((each.write_time - datetime.now(UTC)).total_seconds()) < 3600 for each in (*first, *rest))
    assert await place.blobs.stored(folder, after=names[2], limit=3) == []


async def test_folders_in_a_folder_are_listed_in_the_order_of_keys(place: Place, tmp_path: Path) -> None:
    folder = f"checks-{RUN}-{secrets.token_hex(4)}/"
    names = [f"{folder}{name}" for name in ("a/1", "a-b", "a.b/c/d", "a0", "b/x/y", "b/x.y", "b/x-y/z", "Z")]
    for size, name in enumerate(names):
        await place.blobs.put_file(name, a_file(tmp_path, size)[0], media_type="video/mp4")
    found = []
    while page := await place.blobs.stored(folder, after=found[-1].key if found else "", limit=3):
        found += page
    assert [each.key for each in found] == sorted(names)
    assert {each.key: each.size_bytes for each in found} == {name: size for size, name in enumerate(names)}
    assert [each.key for each in await place.blobs.stored(f"{folder}b/", after=f"{folder}b/x", limit=9)] == sorted(
        name for name in names if "/b/" in name
    )
    everything = await place.blobs.stored("", after=folder, limit=1000)
    assert [each.key for each in everything if each.key.startswith(folder)] == sorted(names)


async def test_half_made_blobs_are_not_listed(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    await blobs.put_file("tenants/t/video", a_file(tmp_path, 5)[0], media_type="video/mp4")
    assert list((tmp_path / "blobs" / ".parts").iterdir()) != []
    assert [each.key for each in await blobs.stored("", after="", limit=99)] == ["tenants/t/video"]
    await blobs.close()
