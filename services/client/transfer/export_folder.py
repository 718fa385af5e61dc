"""The folder into which an export is written. It is for its owner alone: it holds all that a user has."""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from i2v.v1 import asset_pb2, asset_pb2_grpc

from i2v_client.asset_download import Begun, Streams, download_asset
from i2v_client.errors import I2VError
from services.client.transfer import description, records
from services.client.transfer.description import Description, IndexSummary, Subject
from services.client.transfer.entry_table import EntryTable
from services.client.transfer.faults import BrokenExport
from services.client.transfer.index_file import PRIVATE, IndexReader
from services.client.transfer.records import ENTRIES
from services.client.transfer.sources import BYTES, bytes_name
from services.reasons import AssetReason, LibraryReason

PART = ".part"


@dataclass(frozen=True, slots=True)
class ExportFolder:
    """An export that is being written."""

    root: Path
    subject: Subject

    def begin(self) -> None:
        """Makes the folder, or takes up an earlier export of the same subject.

        Raises BrokenExport for one of another subject, or if something else is in the folder; OSError.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self.root / description.FILE
        if not file.exists():
            if any(self.root.iterdir()):
                what = "the folder is not empty, and holds no export; name another one"
                raise BrokenExport(LibraryReason.EXPORT_MALFORMED, str(self.root), what)
        else:
            earlier = description.loads(file.read_bytes()[: description.BYTES_MOST], str(file)).subject
            if earlier != self.subject:
                what = f"the folder has an export of another library: {earlier}; name another folder"
                raise BrokenExport(LibraryReason.EXPORT_MALFORMED, str(file), what)
        self._describe(Description(self.subject, _now()))
        (self.root / BYTES).mkdir(mode=0o700, exist_ok=True)

    def end(self, indexes: dict[str, IndexSummary], files: int, size_bytes: int) -> None:
        """Says that the export is whole."""
        self._describe(Description(self.subject, _now(), indexes, files, size_bytes))

    async def fetch(
        self, streams: Streams, assets: "asset_pb2_grpc.AssetServiceAsyncStub", asset: asset_pb2.Asset
    ) -> None:
        """Downloads an asset, after what an earlier try has left; does nothing if it is there, whole.

        Raises I2VError, OSError.
        """
        sha256 = asset.name.removeprefix("assets/")
        file = self.root / bytes_name(sha256)
        part = file.with_name(sha256 + PART)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        if (await asyncio.to_thread(_begun, file)).digest.hexdigest() == sha256:
            return
        begun = await asyncio.to_thread(_begun, part)
        if begun.size > asset.size_bytes:
            begun = Begun()
        try:
            await _download(streams, assets, asset.name, part, begun)
        except I2VError as error:
            if error.reason != AssetReason.CHECKSUM_WRONG:
                raise
            if not begun.size:
                part.unlink()
                raise
            await _download(streams, assets, asset.name, part, Begun())  # what was left of the earlier try was wrong
        part.replace(file)

    def demand_same_library(self, table: EntryTable) -> None:
        """Raises BrokenExport if an earlier export in the folder has entries, and none of them is in the table.

        A caller does not know its tenant, so with another key this would be another library.
        """
        file, record = self.root / ENTRIES.file, None
        if file.is_file():
            with file.open("rb") as opened:
                for place, line in IndexReader(ENTRIES, opened).lines():
                    record = records.record(ENTRIES, line, place)
                    if table.names(record.user, record.message.name.removeprefix("assets/")):
                        return
        if record is not None:
            what = "no entry of the export in this folder is in the library; is this the right key? Name another folder"
            raise BrokenExport(LibraryReason.EXPORT_MALFORMED, str(self.root), what)

    def remove_others(self, table: EntryTable) -> None:
        """Removes what an earlier export has left in `bytes`, and notes in the table what is there."""
        for file in (self.root / BYTES).glob("??/*"):
            if file.name.endswith(PART) and description.SHA256.fullmatch(file.name.removesuffix(PART)):
                file.unlink()
            elif description.SHA256.fullmatch(file.name):
                table.hold(file.name, file.stat().st_size)
        for sha256 in table.additional():
            (self.root / bytes_name(sha256)).unlink()

    def _describe(self, said: Description) -> None:
        part = self.root / f"{description.FILE}{PART}"
        with _private(part, 0) as file:
            file.write(said.dumps())
            _sync(file)
        part.replace(self.root / description.FILE)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _begun(file: Path) -> Begun:
    """Returns what a file holds; nothing if there is none, or no plain one."""
    begun = Begun()
    if file.is_file() and not file.is_symlink():
        with file.open("rb") as opened:
            begun.digest = hashlib.file_digest(opened, "sha256")
            begun.size = opened.tell()
    return begun


async def _download(
    streams: Streams, assets: "asset_pb2_grpc.AssetServiceAsyncStub", name: str, part: Path, begun: Begun
) -> None:
    with _private(part, begun.size) as file:
        await download_asset(
            streams,
            assets,
            name,
            lambda data: asyncio.to_thread(file.write, data),
            begun=replace(begun),
            uncounted=True,
        )
        await asyncio.to_thread(_sync, file)


@contextmanager
def _private(path: Path, size: int) -> Iterator[BinaryIO]:
    """Opens a file for its owner alone, after what is in it up to a size."""
    with open(os.open(path, PRIVATE, 0o600), "wb") as file:
        file.truncate(size)
        file.seek(size)
        yield file


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
