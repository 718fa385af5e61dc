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

import grpc

from services.client.errors import InvalidRequest
from services.errors import Violation
from services.rpc.status import Failure

CHUNK_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """Something to be uploaded, known by its content."""

    source: Path | bytes
    media_type: str
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, source: Path | bytes) -> "Upload":
        """Reads it through once. Raises InvalidRequest when it is nothing that the service takes, and OSError."""
        with _open(source) as file:
            media_type = _media_type(file.read(16))
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(source, media_type, file.seek(0, os.SEEK_END), sha256)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yields its bytes."""
        with await asyncio.to_thread(_open, self.source) as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk


def _open(source: Path | bytes) -> io.BytesIO | io.BufferedReader:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _media_type(start: bytes) -> str:
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if start.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    if start[4:8] == b"ftyp":
        return "audio/mp4" if start[8:11] == b"M4A" else "video/mp4"
    if start[:4] == b"RIFF" and start[8:12] == b"WAVE":
        return "audio/wav"
    if start[:4] == b"OggS":
        return "audio/ogg"
    if start[:4] == b"fLaC":
        return "audio/flac"
    if start[:2] in (b"\xff\xf1", b"\xff\xf9"):
        return "audio/aac"
    if start[:3] == b"ID3" or start[:2] in (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa"):
        return "audio/mpeg"
    unknown = Violation("file", "is not a PNG, JPEG or WebP picture, nor an MP4 video", "MEDIA_TYPE_UNKNOWN")
    message = f"{unknown.field}: {unknown.description}"
    raise InvalidRequest(Failure(grpc.StatusCode.INVALID_ARGUMENT, message, unknown.reason, {}, (unknown,)))


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
