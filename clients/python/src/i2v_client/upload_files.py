"""Files to upload."""

import asyncio
import hashlib
import io
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from i2v.v1 import asset_pb2, library_pb2

CHUNK_BYTES = 512 * 1024
TITLE_MOST = 500
"""Characters that the server takes."""
ONE_READ = threading.Lock()
"""An open file has one position, and a read for a try that broke off may still go on when the next try reads."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to upload. The server reads the format from its bytes."""

    source: Path | bytes | BinaryIO
    """A path, bytes, or an open file that can seek; it is read from its first byte, and stays open."""
    size_bytes: int
    sha256: str
    details: library_pb2.LibraryDetails | None = None
    """What the library says of it; None: its title is the file's name."""

    @classmethod
    def of(cls, source: "Path | bytes | BinaryIO | Upload") -> "Upload":
        """Reads the whole file once. Raises OSError."""
        if isinstance(source, Upload):
            return source
        with opened(source) as file:
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it only reads
            return cls(source, file.seek(0, os.SEEK_END), sha256)

    def header(self, media_type: str) -> asset_pb2.WriteAssetHeader:
        """Returns what is sent first."""
        details = self.details or library_pb2.LibraryDetails(title=self.title)
        return asset_pb2.WriteAssetHeader(
            media_type=media_type, size_bytes=self.size_bytes, sha256=self.sha256, details=details
        )

    @property
    def title(self) -> str:
        """The file's name, without what cannot be shown; empty for bytes and for a file without a name."""
        name = "" if isinstance(self.source, bytes) else getattr(self.source, "name", "")
        name = os.path.basename(name) if isinstance(name, str) else ""  # an open file may have a number
        return "".join(sign for sign in name if sign.isprintable())[:TITLE_MOST]


async def chunks(file: BinaryIO, offset: int = 0) -> AsyncIterator[bytes]:
    """Yields the bytes of an open file from an offset."""
    while chunk := await asyncio.to_thread(_read_at, file, offset):
        offset += len(chunk)
        yield chunk


def _read_at(file: BinaryIO, offset: int) -> bytes:
    with ONE_READ:
        file.seek(offset)
        return file.read(CHUNK_BYTES)


@contextmanager
def opened(source: Path | bytes | BinaryIO) -> Iterator[BinaryIO]:
    """Opens what is to be uploaded, for all tries; a file that is open already stays so. Raises OSError."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, Path):
        with source.open("rb") as file:
            yield file
    else:
        yield source
