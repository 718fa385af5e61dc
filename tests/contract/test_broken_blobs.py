"""Blobs that break in the middle, are gone, or are not to be used: it is said, and nothing half-made stays."""

import asyncio
import os
import socket
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from services.errors import Unavailable
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.ports.blobs import Blobs
from tests.support.blob_stores import MIB, a_file, a_key, content, in_a_process, minio, until
from tests.support.s3_fixture import S3Server, running_s3


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
            print(error.reason, error)
    """
    output = in_a_process(script)
    assert output.startswith("DISK_FULL ")
    assert "File too large" in output
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
        for error in await every_call_is_unavailable(blobs, tmp_path, 20):
            for text in (str(error), repr(error), repr(error.metadata), repr(blobs)):
                assert "secret-key" not in text
        await blobs.close()


async def test_a_server_that_is_gone_is_noticed_at_once(tmp_path: Path) -> None:
    with running_s3(tmp_path / "s3") as server:
        blobs = minio(server)
        path, _ = a_file(tmp_path, 10)
        await blobs.put_file("key", path, media_type="image/png")
        await blobs.check()
    await every_call_is_unavailable(blobs, tmp_path, 20)
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


async def test_a_put_whose_process_was_killed_leaves_nothing_for_good(tmp_path: Path) -> None:
    source, key = tmp_path / "source", a_key()
    os.mkfifo(source)  # opening it for reading blocks, so the put hangs in the middle
    script = f"""
        import asyncio
        from pathlib import Path
        from services.orchestrator.blobs.local import LocalBlobs
        blobs = LocalBlobs(Path({str(tmp_path / "blobs")!r}))
        asyncio.run(blobs.put_file({key!r}, Path({str(source)!r}), media_type="video/mp4"))
    """
    command = (sys.executable, "-c", textwrap.dedent(script))
    blobs = LocalBlobs(tmp_path / "blobs")

    def half_made() -> list[Path]:
        return [path for path in (tmp_path / "blobs").rglob("*") if path.name == "new"]

    async def begun() -> bool:
        return half_made() != []

    process = await asyncio.create_subprocess_exec(*command, env={"PYTHONPATH": os.pathsep.join(sys.path)})
    await until(begun)
    blobs.sweep()
    assert len(half_made()) == 1, "it lives"
    process.kill()
    await process.wait()
    assert blobs.sweep() == 1
    assert half_made() == []
    assert await blobs.size(key) is None
    await blobs.close()


async def test_what_older_versions_left_among_the_blobs_is_swept_after_days(tmp_path: Path) -> None:
    key, (path, data) = a_key(), a_file(tmp_path, 1000)
    blobs = LocalBlobs(tmp_path / "blobs")
    await blobs.put_file(key, path, media_type="video/mp4")
    assets = (tmp_path / "blobs" / key).parent
    for name, time_s in ((".put-old", 1.0), (".put-new", time.time())):
        (assets / name).mkdir()
        (assets / name / "new").write_bytes(b"half a video")
        for each in (assets / name / "new", assets / name):
            os.utime(each, (time_s, time_s))
    assert blobs.sweep() == 1
    assert {each.name for each in assets.iterdir()} == {".put-new", Path(key).name}
    assert await content(blobs, key) == data
    await blobs.close()
