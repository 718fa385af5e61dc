"""Files to upload, on the client's side."""

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

CHUNK_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to upload. The server reads the format from its bytes."""

    source: Path | bytes
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, source: Path | bytes) -> "Upload":
        """Reads the whole file once. Raises OSError."""
        with _open(source) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(source, file.seek(0, os.SEEK_END), sha256)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yields its bytes."""
        with await asyncio.to_thread(_open, self.source) as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk


def _open(source: Path | bytes) -> io.BytesIO | io.BufferedReader:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
