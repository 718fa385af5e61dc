"""The targets of `--out`: files, links, devices, pipes and stdout. Bad ones are refused before anything is paid."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from i2v.v1 import asset_pb2, job_pb2

from tests.support.client_command import GENERATE, Command, Terminal
from tests.support.scripted_server import OUTPUT, PICTURE, VIDEO, Rig

DOWNLOAD = ("download", OUTPUT.asset)
BRINGS = pytest.mark.parametrize("command", [GENERATE, ("resume", "7"), DOWNLOAD], ids=lambda command: command[0])
"""Every command that brings a video."""


@asynccontextmanager
async def reader(pipe: Path) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """A process that reads a pipe. A thread could not be stopped."""
    process = await asyncio.create_subprocess_exec("cat", str(pipe), stdout=asyncio.subprocess.PIPE)

    async def read() -> bytes:
        return (await process.communicate())[0]

    try:
        yield read
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def left_of(folder: Path) -> set[str]:
    return set(os.listdir(folder)) - {"cat.png"}


@BRINGS
async def test_a_named_pipe_is_written_to_and_remains_a_pipe(i2v: Command, command: tuple[str, ...]) -> None:
    pipe = i2v.folder / "out.fifo"
    os.mkfifo(pipe)
    async with reader(pipe) as read:
        ended = await i2v(*command, "--out", "out.fifo")
        assert ended.code == 0, ended.err
        assert await read() == VIDEO
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert left_of(i2v.folder) == {"out.fifo"}


async def test_a_named_pipe_may_get_a_late_reader(i2v: Command) -> None:
    pipe = i2v.folder / "out.fifo"
    os.mkfifo(pipe)
    process = await i2v.start(*GENERATE, "--out", "out.fifo")
    assert process.stderr is not None
    async for line in process.stderr:
        if b"as soon as a program reads it" in line:
            break
    async with reader(pipe) as read:
        assert await read() == VIDEO
    assert await process.wait() == 0


async def test_ctrl_c_ends_the_wait_for_a_reader_and_says_how_to_get_the_video(i2v: Command) -> None:
    os.mkfifo(i2v.folder / "out.fifo")
    process = await i2v.start(*GENERATE, "--out", "out.fifo")
    assert process.stderr is not None
    async for line in process.stderr:
        if b"as soon as a program reads it" in line:
            break
    process.send_signal(2)
    ended = await asyncio.wait_for(i2v.end(process), 30)
    assert ended.code == 130
    assert f"`i2v download {OUTPUT.asset} --out out.fifo` fetches it" in ended.err


@BRINGS
async def test_a_device_is_written_to_and_remains_a_device(i2v: Command, command: tuple[str, ...]) -> None:
    terminal = Terminal()
    device = os.ttyname(terminal.slave)
    was = os.stat(device).st_rdev
    link = i2v.folder / "device"
    link.symlink_to(device)
    reading = asyncio.create_task(terminal.read())
    ended = await i2v(*command, "--out", "device")
    assert ended.code == 0, ended.err
    assert link.is_symlink()
    assert (stat.S_ISCHR(os.stat(device).st_mode), os.stat(device).st_rdev) == (True, was)
    terminal.hand_over()
    assert "ftypisom" in await reading


@BRINGS
async def test_a_link_is_followed_and_remains_a_link(i2v: Command, command: tuple[str, ...]) -> None:
    (i2v.folder / "there").mkdir()
    (i2v.folder / "there" / "old.mp4").write_bytes(b"the one before")
    (i2v.folder / "old.mp4").symlink_to("there/old.mp4")
    (i2v.folder / "new.mp4").symlink_to("there/new.mp4")
    for name in ("old.mp4", "new.mp4"):
        ended = await i2v(*command, "--out", name)
        assert ended.code == 0, ended.err
        assert (i2v.folder / name).is_symlink()
        assert (i2v.folder / "there" / name).read_bytes() == VIDEO
    assert left_of(i2v.folder / "there") == {"old.mp4", "new.mp4"}


@BRINGS
@pytest.mark.parametrize("length", [244, 255])
async def test_a_name_may_be_as_long_as_the_file_system_allows(
    i2v: Command, command: tuple[str, ...], length: int
) -> None:
    name = "x" * (length - 4) + ".mp4"
    ended = await i2v(*command, "--out", name)
    assert ended.code == 0, ended.err
    assert (i2v.folder / name).read_bytes() == VIDEO
    assert left_of(i2v.folder) == {name}


@BRINGS
@pytest.mark.parametrize("out", ["/proc/a.mp4", "x" * 256, "", "nowhere/a.mp4", ".", "loop", "socket", "cat.png/a.mp4"])
async def test_an_unwritable_target_is_refused_before_any_request(
    rig: Rig, i2v: Command, command: tuple[str, ...], out: str
) -> None:
    (i2v.folder / "loop").symlink_to("loop")
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), i2v.folder / "socket")
    ended = await i2v(*command, "--out", out)
    server.close()
    assert (ended.code, rig.script.asked) == (2, [])
    assert "Invalid value for --out: " in ended.err and "cannot be written" in ended.err


async def test_a_file_keeps_its_mode(i2v: Command) -> None:
    (i2v.folder / "private.mp4").touch(0o600)
    assert (await i2v(*DOWNLOAD, "--out", "private.mp4")).code == 0
    assert stat.S_IMODE((i2v.folder / "private.mp4").stat().st_mode) == 0o600


@BRINGS
async def test_stdout_gets_only_the_video(i2v: Command, command: tuple[str, ...]) -> None:
    for out in ("-", "/dev/stdout"):
        process = await i2v.start(*command, "--out", out)
        written, errors = await process.communicate()
        assert (process.returncode, written) == (0, VIDEO), errors
    piped = await i2v.start(*command, "--out", "-", "--json")
    _, errors = await piped.communicate()
    assert piped.returncode == 2, errors


async def test_a_file_that_is_also_stdout_is_written_once(i2v: Command) -> None:
    with (i2v.folder / "both.mp4").open("wb") as both:
        process = await i2v.start(*DOWNLOAD, "--out", "both.mp4", stdout=both.fileno())
        _, errors = await process.communicate()
    assert (process.returncode, (i2v.folder / "both.mp4").read_bytes()) == (0, VIDEO), errors


@BRINGS
async def test_a_video_is_not_written_to_a_terminal(rig: Rig, i2v: Command, command: tuple[str, ...]) -> None:
    terminal = Terminal()
    process = await i2v.start(*command, "--out", "-", stdout=terminal.slave)
    terminal.hand_over()
    _, errors = await process.communicate()
    assert (process.returncode, await terminal.read(), rig.script.asked) == (2, "", [])
    assert b"name a file, or pipe stdout" in errors


async def test_a_reader_that_leaves_ends_the_command_without_an_error(i2v: Command) -> None:
    read, write = os.pipe()
    process = await i2v.start(*DOWNLOAD, "--out", "-", stdout=write)
    os.close(write)
    assert await asyncio.to_thread(os.read, read, 10) == VIDEO[:10]
    os.close(read)
    ended = await i2v.end(process)
    assert ended.code != 0
    assert "Traceback" not in ended.err


async def test_the_client_submits_nothing_that_it_cannot_write(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        await rig.client.generate(PICTURE, "It moves.", out=tmp_path / "nowhere" / "a.mp4")
    with pytest.raises(OSError, match="nowhere"):
        await rig.client.download(OUTPUT.asset, tmp_path / "nowhere" / "a.mp4")
    assert rig.script.asked_for(job_pb2.SubmitJobRequest) == rig.script.asked_for(asset_pb2.ReadAssetRequest) == []


async def test_a_failed_download_leaves_the_existing_file(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"the one before")
    with pytest.raises(Exception, match="checksum"):
        await rig.client.download("assets/" + "0" * 64, tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == b"the one before"
    assert os.listdir(tmp_path) == ["a.mp4"]
