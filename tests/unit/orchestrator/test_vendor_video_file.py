"""The file of a video that is written while it arrives."""

import asyncio
import hashlib
import threading
from pathlib import Path

import pytest

from services.orchestrator.backends.vendor_video_file import SPARE_BYTES, VendorVideoFile, write_all

PIECE = 1 << 20


async def test_a_settled_video_is_on_the_disk_in_order_and_hashed(tmp_path: Path) -> None:
    pieces = [bytes([number]) * PIECE for number in range(2 * SPARE_BYTES // PIECE + 1)]
    file = VendorVideoFile(tmp_path / "video.mp4")
    for piece in pieces:
        await file.add(piece)
    await file.settle()
    whole = b"".join(pieces)
    assert file.holds(len(whole), hashlib.sha256(whole).hexdigest())
    assert not file.holds(len(whole) - 1, hashlib.sha256(whole).hexdigest())
    file.close()
    assert file.path.read_bytes() == whole


class SlowDisk:
    """Writes wait until it goes on."""

    def __init__(self) -> None:
        self._goes_on = threading.Event()

    def write(self, descriptor: int, data: bytes) -> None:
        self._goes_on.wait(60)
        write_all(descriptor, data)

    def go_on(self) -> None:
        self._goes_on.set()


async def test_a_piece_is_written_while_the_next_one_is_waited_for(tmp_path: Path) -> None:
    disk = SlowDisk()
    file = VendorVideoFile(tmp_path / "video.mp4", write=disk.write)
    await asyncio.wait_for(file.add(b"one"), 30)  # does not wait for its own
    second = asyncio.create_task(file.add(b"two"))
    await asyncio.sleep(0)
    assert not second.done(), "more than one piece would be held in memory"
    disk.go_on()
    await second
    await file.settle()
    file.close()
    assert file.path.read_bytes() == b"onetwo"


async def test_a_file_that_is_closed_meanwhile_is_not_written_to(tmp_path: Path) -> None:
    disk = SlowDisk()
    file = VendorVideoFile(tmp_path / "video.mp4", write=disk.write)
    await file.add(b"one")
    second = asyncio.create_task(file.add(b"two"))
    await asyncio.sleep(0)
    second.cancel()
    disk.go_on()
    await asyncio.wait({second})
    file.close()
    assert file.path.read_bytes() in (b"", b"one")


async def test_a_full_disk_is_reported_when_the_video_is_settled(tmp_path: Path) -> None:
    def full(descriptor: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    file = VendorVideoFile(tmp_path / "video.mp4", write=full)
    await file.add(b"one")
    with pytest.raises(OSError, match="No space"):
        await file.settle()
    file.close()
