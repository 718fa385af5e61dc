"""Files on this side: what an upload says of them, and downloads that are whole or not there at all."""

import asyncio
import contextlib
import hashlib
import io
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """Something to be uploaded. What kind of file it is, the server finds out from its bytes."""

    source: Path | bytes
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, source: Path | bytes) -> "Upload":
        """Reads it through once. Raises OSError."""
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


def try_folder(path: Path) -> None:
    """Raises OSError if `whole_file` cannot write this file. Permissions alone do not tell, so it writes one."""
    part = _part(path)
    part.open("xb").close()
    part.unlink()


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that takes its name when the block ends well, and leaves nothing behind when it does not."""
    part = _part(path)
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
