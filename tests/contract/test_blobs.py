"""What every Blobs keeps: a folder, a real S3 server run for the tests, and any other S3 that is named.

To run it against another one, give it by I2V_TEST_S3_ENDPOINT, I2V_TEST_S3_ACCESS_KEY and I2V_TEST_S3_SECRET_KEY;
the bucket `i2v-test` is used there, under keys of this run's own.
"""

import asyncio
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from services.errors import NotFound, Unavailable
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.blobs.minio import MinioBlobs
from services.orchestrator.ports import Blobs
from tests.s3_fixture import S3Server, running_s3

MIB = 1 << 20
RUN = secrets.token_hex(6)


@dataclass(frozen=True)
class Place:
    """An implementation, and what a test must know to make it fail."""

    blobs: Blobs
    folder: Path | None = None
    server: S3Server | None = None


def outside_s3() -> S3Server:
    names = ("I2V_TEST_S3_ENDPOINT", "I2V_TEST_S3_ACCESS_KEY", "I2V_TEST_S3_SECRET_KEY")
    values = [os.environ.get(name, "") for name in names]
    if not all(values):
        pytest.skip(f"set {', '.join(names)} to test against an S3 of your own, e.g. 127.0.0.1:9000 of a MinIO")
    return S3Server(*values)


@pytest_asyncio.fixture(params=["local", "rclone", "outside"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "local":
        made = Place(LocalBlobs(tmp_path / "blobs"), folder=tmp_path / "blobs")
    else:
        server = outside_s3() if request.param == "outside" else request.getfixturevalue("s3_server")
        made = Place(minio(server), server=server)
    yield made
    await made.blobs.close()


def minio(server: S3Server, **changes: str) -> MinioBlobs:
    given = {"access_key": server.access_key, "secret_key": server.secret_key, "bucket": "i2v-test"} | changes
    return MinioBlobs(
        changes.get("endpoint", server.endpoint), given["access_key"], given["secret_key"], given["bucket"]
    )


def a_key(name: str = "video") -> str:
    return f"tenants/{RUN}/assets/{name}-{secrets.token_hex(4)}"


def a_file(folder: Path, size: int) -> tuple[Path, bytes]:
    data = secrets.token_bytes(min(size, MIB)) * (size // MIB + 1)
    path = folder / f"source-{size}"
    path.write_bytes(data[:size])
    return path, data[:size]


async def content(blobs: Blobs, key: str, offset: int = 0) -> bytes:
    chunks = [chunk async for chunk in blobs.read(key, offset=offset)]
    assert all(0 < len(chunk) <= MIB for chunk in chunks)
    return b"".join(chunks)


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


# --- stopping in the middle ------------------------------------------------------------------------------------------


def open_things() -> list[str]:
    """Files and sockets that this process holds."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return [name for name in found if name.startswith("socket:") or "/assets/" in name]


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await true():  # noqa: ASYNC110  nobody tells when another thread or server has done it
            await asyncio.sleep(0.005)


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
            await asyncio.sleep(60)

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
    assert [found.name for found in (tmp_path / "blobs").rglob("*")] == ["tenants", "t", "assets", "video"]
    await blobs.close()


async def test_a_put_that_breaks_on_the_disk_leaves_what_was_there(tmp_path: Path) -> None:
    key = a_key()
    first, data = a_file(tmp_path, 1000)
    second, _ = a_file(tmp_path, 5 * MIB)
    blobs = LocalBlobs(tmp_path / "blobs")
    await blobs.put_file(key, first, media_type="video/mp4")
    # In a process of its own, for which the file is on another disk, and which may write no file over 1 MiB, as if
    # this one were full.
    script = f"""
        import asyncio, errno, os, resource
        from pathlib import Path
        from services.errors import Unavailable
        from services.orchestrator.blobs.local import LocalBlobs
        def link(*_):
            raise OSError(errno.EXDEV, "another disk")
        os.link = link
        resource.setrlimit(resource.RLIMIT_FSIZE, ({MIB}, {MIB}))
        blobs = LocalBlobs(Path({str(tmp_path / "blobs")!r}))
        try:
            asyncio.run(blobs.put_file({key!r}, Path({str(second)!r}), media_type="video/mp4"))
        except Unavailable as error:
            print(error)
    """
    assert "File too large" in in_a_process(script)
    assert await content(blobs, key) == data
    assert [path.name for path in (tmp_path / "blobs" / key).parent.iterdir()] == [key.split("/")[-1]]
    await blobs.close()


class Cutter:
    """Stands between a client and a server, and cuts every connection after so many bytes to the server."""

    def __init__(self, endpoint: str, after: int) -> None:
        self._target = (endpoint.split(":")[0], int(endpoint.split(":")[1]))
        self._left = after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            back = threading.Thread(target=self._copy, args=(server, client, False), daemon=True)
            back.start()
            self._copy(client, server, True)
            for end in (server, client):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
            back.join()

    def _copy(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if counted:
                    self._left -= len(data)
                    if self._left < 0:
                        return
                sink.sendall(data)
        except OSError:
            return

    def close(self) -> None:
        """Takes no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.mark.parametrize("size", [5 * MIB, 40 * MIB], ids=["whole", "in-parts"])
async def test_a_put_that_breaks_on_the_way_leaves_nothing(s3_server: S3Server, tmp_path: Path, size: int) -> None:
    key, (path, _) = a_key(), a_file(tmp_path, size)
    straight = minio(s3_server)
    await straight.check()
    cutter = Cutter(s3_server.endpoint, after=size - MIB)
    blobs = minio(s3_server, endpoint=cutter.endpoint)
    with pytest.raises(Unavailable):
        await blobs.put_file(key, path, media_type="video/mp4")
    cutter.close()

    async def nothing_there() -> bool:
        return await straight.size(key) is None

    await until(nothing_there)  # the server itself may need a moment to see that it was cut off
    await blobs.close()
    await straight.close()


async def test_a_read_that_breaks_on_the_way_says_so(tmp_path: Path) -> None:
    path, _ = a_file(tmp_path, 64 * MIB)
    with running_s3(tmp_path / "s3") as server:
        blobs = minio(server)
        await blobs.put_file("video", path, media_type="video/mp4")
        received = 0
        with pytest.raises(Unavailable):
            async for chunk in blobs.read("video"):
                received += len(chunk)
                if received == 2 * MIB:
                    os.kill(server.pid, 9)
        assert received < 64 * MIB
    await blobs.close()


# --- a store that does not work --------------------------------------------------------------------------------------


async def every_call_is_unavailable(blobs: Blobs, folder: Path, within_s: float) -> list[Unavailable]:
    path, _ = a_file(folder, 10)

    async def read() -> None:
        await content(blobs, "key")

    calls = [
        lambda: blobs.put_file("key", path, media_type="image/png"),
        read,
        lambda: blobs.size("key"),
        lambda: blobs.delete("key"),
        blobs.check,
    ]
    errors = []
    for call in calls:
        started = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            await call()  # type: ignore[operator]
        assert time.monotonic() - started < within_s
        assert caught.value.reason == "BLOBS_UNAVAILABLE"
        errors.append(caught.value)
    return errors


async def test_a_wrong_secret_makes_it_unavailable_and_is_not_repeated(s3_server: S3Server, tmp_path: Path) -> None:
    for changes in ({"secret_key": "not-the-secret-key"}, {"access_key": "not-the-access-key"}):
        blobs = minio(s3_server, **changes)
        for error in await every_call_is_unavailable(blobs, tmp_path, 2):
            for text in (str(error), repr(error), repr(error.metadata), repr(blobs)):
                assert "secret-key" not in text
        await blobs.close()


async def test_a_server_that_is_gone_is_noticed_at_once(tmp_path: Path) -> None:
    with running_s3(tmp_path / "s3") as server:
        blobs = minio(server)
        path, _ = a_file(tmp_path, 10)
        await blobs.put_file("key", path, media_type="image/png")
        await blobs.check()
    await every_call_is_unavailable(blobs, tmp_path, 3)
    await blobs.close()


async def test_a_server_that_comes_back_is_used_again(tmp_path: Path) -> None:
    path, data = a_file(tmp_path, 10)
    with running_s3(tmp_path / "one") as server:
        blobs = minio(server)
        await blobs.put_file("key", path, media_type="image/png")
    with pytest.raises(Unavailable):
        await blobs.size("key")
    with running_s3(tmp_path / "two", port=int(server.endpoint.split(":")[1])):
        await blobs.check()  # makes the bucket, which the new server does not have
        await blobs.put_file("key", path, media_type="image/png")
        assert await content(blobs, "key") == data
    await blobs.close()


async def test_a_folder_that_cannot_be_used_makes_it_unavailable(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"a file, not a folder")
    blobs = LocalBlobs(tmp_path / "blobs")
    with pytest.raises(Unavailable, match="The blob folder cannot be used"):
        await blobs.check()
    with pytest.raises(Unavailable):
        await blobs.put_file("key", tmp_path / "blobs", media_type="image/png")
    await blobs.close()


# --- what it costs ---------------------------------------------------------------------------------------------------


def in_a_process(script: str) -> str:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, env={"PYTHONPATH": path}, capture_output=True, text=True, timeout=60, check=False)
    assert not done.stderr, done.stderr
    return done.stdout


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
        made = f"MinioBlobs({server.endpoint!r}, {server.access_key!r}, {server.secret_key!r}, 'i2v-test')"
    script = f"""
        import asyncio, resource
        from pathlib import Path
        from services.orchestrator.blobs.local import LocalBlobs
        from services.orchestrator.blobs.minio import MinioBlobs
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
