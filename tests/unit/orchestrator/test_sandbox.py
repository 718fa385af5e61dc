"""What pictures cost, hostile ones too: the processes that decode them are bounded, and replaced when they die."""

import asyncio
import errno
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.errors import Unavailable
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.media.picture import normalise
from services.orchestrator.media.sandbox import DecoderDied, Sandbox
from services.orchestrator.meters.sandbox_metrics import SandboxMetrics
from tests.support import pictures
from tests.support.normalised_pictures import refused, taken

MIB = 1 << 20


def children() -> list[int]:
    """The processes of ours that decode pictures."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == os.getpid() and b"media.decoder_process\0pictures" in command:
                found.append(int(entry.name))
    return found


async def no_children() -> None:
    """Kills all of them."""
    killed = children()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    while set(killed) & set(children()):  # noqa: ASYNC110  the kernel notifies no process of that
        await asyncio.sleep(0.005)


def reads(pid: int, path: Path) -> bool:
    """Whether a process has a file open."""
    try:
        return any(os.path.realpath(link) == str(path) for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def peak(pid: int | str) -> int:
    return _memory(pid, "VmHWM")


def resident(pid: int) -> int:
    return _memory(pid, "VmRSS")


def _memory(pid: int | str, figure: str) -> int:
    """Returns a figure of a process's memory, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{figure}:")[1].split()[0]) * 1024


def spent() -> float:
    """Seconds of processor time of this process and of the decoders. Other load on the machine does not change it."""
    ticks = 0
    for pid in children():
        ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    before, started = peak("self"), spent()
    yield
    assert spent() - started < seconds
    assert peak("self") - before < 64 * MIB
    assert max(map(peak, children()), default=0) < 512 * MIB


async def test_decompression_bombs_take_little_time_and_memory(tmp_path: Path) -> None:
    bomb = pictures.a_png(12000, 12000)
    assert len(bomb) < 25_000
    with bounded(5):
        await refused(bomb, tmp_path)
        await refused(pictures.a_png(8000, 8000), tmp_path)
        await refused(pictures.a_png(30000, 30000, rows=1), tmp_path)
        (tmp_path / "out").write_bytes(b"")
        await taken(pictures.a_png(64, 48, extra=[pictures.a_text_bomb()]), tmp_path)
        await taken(pictures.a_png(64, 48, extra=[pictures.a_profile_bomb()]), tmp_path)


async def test_the_largest_picture_that_is_allowed_stays_within_bounds(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(pictures.a_png(7071, 7071, bits=8, colour=6))
    with bounded(20):
        info = await normalise(tmp_path / "in", tmp_path / "out", field="picture")
    assert info == PictureInfo("image/png", 7071, 7071)


async def test_the_child_process_has_no_secrets_little_memory_and_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("I2V_TEST_SECRET", "hunter2")
    await no_children()
    await taken(pictures.a_picture(), tmp_path)
    (pid,) = children()
    names = [entry.split(b"=")[0] for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if entry]
    harmless = {b"PYTHONPATH", b"LC_ALL", b"OPENBLAS_NUM_THREADS"}
    assert {name for name in names if not name.startswith(b"MALLOC_")} <= harmless
    own, its = (os.getpriority(os.PRIO_PROCESS, each) for each in (0, pid))
    assert its == min(19, own + 10), "it has a lower priority than the processes that answer calls"
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    allowed = {line[:26].strip(): line[26:].split()[0] for line in limits[1:]}
    assert allowed["Max address space"] == str(1 << 30)
    assert int(allowed["Max open files"]) == len(list(Path(f"/proc/{pid}/fd").iterdir())) + 2


async def test_a_child_whose_memory_is_used_up_by_earlier_files_refuses_no_picture(tmp_path: Path) -> None:
    await no_children()
    await taken(pictures.a_picture(), tmp_path)
    (pid,) = children()
    in_use = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (in_use, 1 << 30))
    (tmp_path / "in").write_bytes(pictures.a_png(4000, 4000, bits=8, colour=2))
    info = await normalise(tmp_path / "in", tmp_path / "out", field="picture")
    assert info == PictureInfo("image/png", 4000, 4000)
    assert children() != [pid]


async def test_memory_is_given_back_when_no_picture_comes(tmp_path: Path) -> None:
    await no_children()
    await taken(pictures.a_picture(), tmp_path)
    (pid,) = children()
    before = resident(pid)
    (tmp_path / "in").write_bytes(pictures.a_png(5000, 5000, bits=8, colour=2))
    await normalise(tmp_path / "in", tmp_path / "other", field="picture")
    assert resident(pid) - before > 60 * MIB
    async with asyncio.timeout(60):
        while resident(pid) - before > 20 * MIB:  # noqa: ASYNC110  the kernel notifies no process of that
            await asyncio.sleep(0.1)


async def test_a_child_that_is_killed_is_replaced_and_the_picture_still_decoded(tmp_path: Path) -> None:
    await taken(pictures.a_picture(), tmp_path)
    for pid in children():
        os.kill(pid, signal.SIGSTOP)
    (tmp_path / "in").write_bytes(pictures.a_picture())
    decoding = asyncio.create_task(normalise(tmp_path / "in", tmp_path / "out", field="picture"))
    await asyncio.sleep(0.05)
    await no_children()
    assert (await decoding).width == 64


async def test_a_picture_whose_decoders_are_all_killed_is_not_refused(tmp_path: Path) -> None:
    """As on a machine that is short of memory, where the kernel kills the largest process."""
    await no_children()
    path = tmp_path / "picture"
    path.write_bytes(pictures.a_png(7071, 7071, bits=8, colour=6))  # it takes a while
    decoding = asyncio.create_task(normalise(path, tmp_path / "clean", field="data"))
    while not decoding.done():
        for pid in children():
            if reads(pid, path):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.001)
    with pytest.raises(Unavailable, match="short of memory"):
        await decoding
    assert sorted(each.name for each in tmp_path.iterdir()) == ["picture"]


def test_a_picture_that_takes_too_long_ends_its_child_and_no_more(tmp_path: Path) -> None:
    counting = SandboxMetrics(registry := CollectorRegistry())
    sandbox = Sandbox("pictures", size=1, limit_s=0.4)
    (tmp_path / "slow").write_bytes(pictures.a_png(7071, 7071, bits=8, colour=6))
    (tmp_path / "quick").write_bytes(pictures.a_picture())
    with (tmp_path / "out").open("wb") as out:
        with (tmp_path / "slow").open("rb") as slow, pytest.raises(DecoderDied, match="out of time"):
            sandbox.call(slow.fileno(), out.fileno())
        assert (tmp_path / "out").stat().st_size == 0
        with (tmp_path / "quick").open("rb") as quick:
            assert sandbox.call(quick.fileno(), out.fileno())["width"] == 64
    sandbox.close()
    failed = {"kind": "pictures", "failure": "out-of-time"}
    assert registry.get_sample_value("i2v_sandbox_failures_total", failed) == 1
    del counting


async def test_many_concurrent_pictures_are_all_answered(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(pictures.a_picture(256, 256))
    calls = [normalise(tmp_path / "in", tmp_path / f"out{number}", field="picture") for number in range(20)]
    assert len(set(await asyncio.gather(*calls))) == 1
    assert len({path.read_bytes() for path in tmp_path.glob("out*")}) == 1


def test_a_full_disk_is_reported_as_such(tmp_path: Path) -> None:
    picture = tmp_path / "picture"
    picture.write_bytes(pictures.a_picture(64, 64))
    sandbox = Sandbox("pictures", size=1, limit_s=10.0)
    with picture.open("rb") as source, open("/dev/full", "wb") as full:
        assert sandbox.call(source.fileno(), full.fileno()) == {"unwritten": errno.ENOSPC}
    sandbox.close()
