"""The bytes of an export: what is there is not read again, and a part is continued."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.v1 import asset_pb2, asset_pb2_grpc

from i2v_client.errors import I2VError, Unreachable
from i2v_client.failure import Failure
from services.client.transfer.description import Subject
from services.client.transfer.entry_table import EntryTable
from services.client.transfer.export_folder import ExportFolder
from services.client.transfer.faults import BrokenExport
from services.client.transfer.sources import bytes_name
from tests.support.exports import CAT, DOG, an_asset, an_export, sha256


@dataclass
class Stored:
    """A service with the bytes of one asset, which may break off."""

    data: bytes = CAT
    breaks: int = 0
    """How many of the first streams break off after 100 bytes."""
    retry_for_s: float = 30.0
    offsets: list[int] = field(default_factory=list)

    async def stream(self, method: Any, request: asset_pb2.ReadAssetRequest) -> AsyncGenerator[Any, None]:
        self.offsets.append(request.offset)
        left = self.data[request.offset :]
        if len(self.offsets) <= self.breaks:
            yield asset_pb2.ReadAssetResponse(data=left[:100])
            raise Unreachable(Failure(grpc.StatusCode.UNAVAILABLE, "away"))
        yield asset_pb2.ReadAssetResponse(data=left)


@pytest.fixture
def folder(tmp_path: Path) -> ExportFolder:
    made = ExportFolder(tmp_path / "export", Subject(user="ann"))
    made.begin()
    return made


async def fetch(folder: ExportFolder, stored: Stored) -> Path:
    """Fetches the picture of the cat. Returns its file."""
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        stub: Any = asset_pb2_grpc.AssetServiceStub(channel)
        await folder.fetch(stored, stub, an_asset(CAT))
    return folder.root / bytes_name(sha256(CAT))


def left_behind(folder: ExportFolder, data: bytes) -> Path:
    part = folder.root / f"{bytes_name(sha256(CAT))}.part"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(data)
    return part


@pytest.mark.parametrize(
    ("part", "offsets"),
    [(b"", [0]), (CAT[:70], [70]), (CAT, [len(CAT)]), (CAT + b"more", [0]), (b"wrong", [5, 0])],
    ids=["none", "half", "all", "more", "wrong"],
)
async def test_a_download_continues_after_the_part_that_is_there(
    folder: ExportFolder, part: bytes, offsets: list[int]
) -> None:
    left, stored = left_behind(folder, part), Stored()
    file = await fetch(folder, stored)
    assert file.read_bytes() == CAT and stored.offsets == offsets and not left.exists()


async def test_a_stream_that_breaks_continues_where_it_stopped(folder: ExportFolder) -> None:
    stored = Stored(breaks=2)
    assert (await fetch(folder, stored)).read_bytes() == CAT
    assert stored.offsets == [0, 100, 200]


async def test_what_is_there_whole_is_not_read_again_and_what_is_altered_is(folder: ExportFolder) -> None:
    stored = Stored()
    file = await fetch(folder, stored)
    await fetch(folder, stored)
    assert stored.offsets == [0] and file.stat().st_mode & 0o077 == 0
    file.write_bytes(DOG)
    assert (await fetch(folder, stored)).read_bytes() == CAT and stored.offsets == [0, 0]


async def test_bytes_that_are_wrong_in_the_service_leave_nothing(folder: ExportFolder) -> None:
    stored = Stored(DOG)
    with pytest.raises(I2VError) as caught:
        await fetch(folder, stored)
    assert caught.value.reason == "CHECKSUM_WRONG"
    assert not [file for file in folder.root.rglob("*") if file.name.startswith(sha256(CAT))]


def test_what_no_entry_names_any_more_is_removed(folder: ExportFolder) -> None:
    left = left_behind(folder, CAT)
    old = folder.root / bytes_name(sha256(DOG))
    old.parent.mkdir(exist_ok=True)
    old.write_bytes(DOG)
    own = folder.root / "bytes" / "notes.txt"
    own.write_text("not of an export")
    with EntryTable() as table:
        folder.remove_others(table)
    assert not left.exists() and not old.exists() and own.exists()


@pytest.mark.parametrize("subject", [Subject(), Subject("studio", "ann"), Subject("studio", "", "type = video")])
def test_an_export_does_not_replace_that_of_another_subject(tmp_path: Path, subject: Subject) -> None:
    root = an_export(tmp_path / "export")
    before = (root / "export.json").read_bytes()
    with pytest.raises(BrokenExport):
        ExportFolder(root, subject).begin()
    assert (root / "export.json").read_bytes() == before
