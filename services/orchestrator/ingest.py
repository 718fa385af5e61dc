"""Ingest: how a caller's bytes become an asset. Nothing is kept unless all of it came and is what it should be.

An upload is spooled to a file, so memory stays flat; hashing and writing happen beside the receiving of what comes
next.
"""

import asyncio
import hashlib
import os
import tempfile
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from services.errors import InvalidUpload, Unavailable, Violation
from services.orchestrator.domain.asset import Asset, blob_key
from services.orchestrator.domain.media import AudioInfo, PictureInfo, VideoInfo
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.disk import Room, any_room
from services.orchestrator.ports.media import Listen, Probe
from services.orchestrator.ports.store import Store
from services.orchestrator.ports.system import Clock
from services.shortage import shortage

BATCH_BYTES, BATCHES_BEHIND = 1 << 20, 8
PICTURES = ("image/png", "image/jpeg", "image/webp")
VIDEO = "video/mp4"
SOUNDS = ("audio/mpeg", "audio/wav", "audio/ogg", "audio/flac", "audio/mp4", "audio/aac")


@dataclass(frozen=True, slots=True)
class Upload:
    """What a caller says of the bytes that will come."""

    media_type: str
    size_bytes: int | None
    sha256: str
    """Empty: not given."""


class Normalise(Protocol):
    """Decodes a hostile picture in a cage and writes it anew, clean. Raises InvalidUpload naming `field`."""

    def __call__(self, path: Path, out: Path, *, field: str) -> Awaitable[PictureInfo]:
        """Normalises `path` into `out`."""


class _Spool:
    """A file that grows, and the digest of what is in it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._hash = hashlib.sha256()

    def add(self, batch: list[bytes]) -> None:
        """Appends. Blocking."""
        for data in batch:
            self._hash.update(data)
            self._file.write(data)

    def close(self) -> str:
        """Returns the digest of everything."""
        self._file.close()
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class Ingest:
    """Takes uploads."""

    store: Store
    blobs: Blobs
    clock: Clock
    normalise: Normalise
    probe: Probe
    listen: Listen
    spool: Path
    """A folder on a local disk."""
    picture_max_bytes: int = 10 * 1000 * 1000
    video_max_bytes: int = 2 * 1000 * 1000 * 1000
    sound_max_bytes: int = 50 * 1000 * 1000
    stall_s: float = 30.0
    """How long an upload may pause before it is given up."""
    at_once: int = 16
    """Uploads of one tenant at a time: each holds a thread, a file and a part of the disk."""
    room: Room = any_room
    _busy: Counter[str] = field(default_factory=Counter)

    async def take(self, upload: Upload, chunks: AsyncIterator[bytes], tenant: str, user: str) -> Asset:
        """Stores an upload and returns its asset. Raises InvalidUpload, Unavailable."""
        limit = self._limit(upload)
        self.room(upload.size_bytes or 0)
        if self._busy[tenant] >= self.at_once:
            raise Unavailable(f"{self.at_once} uploads of this tenant are under way. Try again.", reason="UPLOADS_BUSY")
        self._busy[tenant] += 1
        try:
            return await self._take(upload, self._steadily(chunks), tenant, user, limit)
        finally:
            self._busy[tenant] -= 1

    async def _take(self, upload: Upload, chunks: AsyncIterator[bytes], tenant: str, user: str, limit: int) -> Asset:
        with tempfile.TemporaryDirectory(prefix="upload-", dir=self.spool, ignore_cleanup_errors=True) as folder:
            received, clean = Path(folder) / "received", Path(folder) / "clean"
            size, sha256 = await self._receive(upload, chunks, received, limit)
            info: PictureInfo | VideoInfo | AudioInfo
            if upload.media_type == VIDEO:
                info, clean = await asyncio.to_thread(self.probe, received), received
            elif upload.media_type in SOUNDS:
                info, clean = await asyncio.to_thread(self.listen, received), received
            else:
                info = await self.normalise(received, clean, field="data")
                size, sha256 = await asyncio.to_thread(_measure, clean)
            await self.blobs.put_file(blob_key(tenant, sha256), clean, media_type=info.media_type)
            return await self.store.put_asset(Asset(tenant, user, sha256, size, info, self.clock.now()))

    async def _steadily(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yields the chunks. Raises InvalidUpload when the next does not come in time."""
        iterator = aiter(chunks)
        while True:
            try:
                async with asyncio.timeout(self.stall_s):
                    data = await anext(iterator)
            except StopAsyncIteration:
                return
            except TimeoutError:
                what = f"stopped coming for {self.stall_s:g} s. Send it again"
                raise _refuse("data", what, "UPLOAD_STALLED") from None
            yield data

    def _limit(self, upload: Upload) -> int:
        if upload.media_type not in (*PICTURES, VIDEO, *SOUNDS):
            raise _refuse(
                "header.media_type",
                f"is {upload.media_type[:80]!r}; {', '.join((*PICTURES, VIDEO, *SOUNDS))} are taken",
                "MEDIA_TYPE_UNSUPPORTED",
            )
        limit = self.picture_max_bytes
        if upload.media_type == VIDEO:
            limit = self.video_max_bytes
        elif upload.media_type in SOUNDS:
            limit = self.sound_max_bytes
        if upload.size_bytes is not None and upload.size_bytes > limit:
            raise _too_large("header.size_bytes", upload.size_bytes, limit)
        if upload.sha256 and (len(upload.sha256) != 64 or set(upload.sha256) - set("0123456789abcdef")):
            raise _refuse("header.sha256", "is not 64 hexadecimal digits", "CHECKSUM_MALFORMED")
        return limit

    async def _receive(self, upload: Upload, chunks: AsyncIterator[bytes], path: Path, limit: int) -> tuple[int, str]:
        """Spools the bytes. One thread writes and hashes, in order, a few batches behind what comes."""
        loop, spool = asyncio.get_running_loop(), _Spool(path)
        writing: deque[asyncio.Future[None]] = deque()
        batch: list[bytes] = []
        size = held = 0
        with ThreadPoolExecutor(1, thread_name_prefix="spool") as thread:
            try:
                async for data in chunks:
                    size, held = size + len(data), held + len(data)
                    if size > limit:
                        raise _too_large("data", size, limit, at_least=True)
                    batch.append(data)
                    if held >= BATCH_BYTES:
                        self.room(0)  # what is left is for the jobs that run
                        writing.append(loop.run_in_executor(thread, spool.add, batch))
                        batch, held = [], 0
                    if len(writing) > BATCHES_BEHIND:
                        await writing.popleft()
                writing.append(loop.run_in_executor(thread, spool.add, batch))
            finally:
                # Whatever happened: nobody writes to the file any more once this returns.
                written = await asyncio.gather(*writing, return_exceptions=True)
                sha256 = spool.close()
        for failure in written:
            if isinstance(failure, OSError) and shortage(failure) is None:
                raise Unavailable("The upload cannot be spooled. Try again.", reason="SPOOL_UNAVAILABLE") from failure
            if isinstance(failure, BaseException):
                raise failure
        if upload.size_bytes is not None and size != upload.size_bytes:
            raise _refuse(
                "data", f"was {size} bytes; the header said {upload.size_bytes}. Send it again", "SIZE_MISMATCH"
            )
        if upload.sha256 and sha256 != upload.sha256:
            raise _refuse("data", "does not have the header's SHA-256. Send it again", "CHECKSUM_MISMATCH")
        return size, sha256


def _measure(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _too_large(field: str, size: int, limit: int, *, at_least: bool = False) -> InvalidUpload:
    what = f"is {'at least ' if at_least else ''}{size} bytes; at most {limit} are taken. Send a smaller file"
    return _refuse(field, what, "UPLOAD_TOO_LARGE")


def _refuse(field: str, description: str, reason: str) -> InvalidUpload:
    return InvalidUpload([Violation(field, description, reason)], reason=reason)
