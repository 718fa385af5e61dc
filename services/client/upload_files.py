"""Files to upload, on the client's side."""

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from i2v.v1 import asset_pb2, library_pb2

CHUNK_BYTES = 512 * 1024
TITLE_MOST = 500
"""Characters that the server takes."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to upload. The server reads the format from its bytes."""

    source: Path | bytes
    size_bytes: int
    sha256: str
    details: library_pb2.LibraryDetails | None = None
    """What the library says of it; None: its title is the file's name."""

    @classmethod
    def of(cls, source: "Path | bytes | Upload") -> "Upload":
        """Reads the whole file once. Raises OSError."""
        if isinstance(source, Upload):
            return source
        with _open(source) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(source, file.seek(0, os.SEEK_END), sha256)

    def header(self, media_type: str) -> asset_pb2.WriteAssetHeader:
        """Returns what is sent first."""
        details = self.details or library_pb2.LibraryDetails(title=self.title)
        return asset_pb2.WriteAssetHeader(
            media_type=media_type, size_bytes=self.size_bytes, sha256=self.sha256, details=details
        )

    @property
    def title(self) -> str:
        """The file's name, without what cannot be shown; empty for bytes."""
        if isinstance(self.source, bytes):
            return ""
        return "".join(sign for sign in self.source.name if sign.isprintable())[:TITLE_MOST]

    async def chunks(self, offset: int = 0) -> AsyncIterator[bytes]:
        """Yields its bytes from an offset."""
        with await asyncio.to_thread(_open, self.source) as file:
            await asyncio.to_thread(file.seek, offset)
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk


def _open(source: Path | bytes) -> io.BytesIO | io.BufferedReader:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
