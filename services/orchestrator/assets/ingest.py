"""Ingest: how a caller's bytes become an asset. An upload that is incomplete or invalid leaves nothing.

An upload is spooled to a file, so memory stays flat; hashing and writing happen while the next bytes are
received.
"""

import asyncio
import hashlib
import os
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from services.errors import InvalidUpload, Unavailable, Violation
from services.orchestrator.domain import file_format, library_details
from services.orchestrator.domain.asset import Asset, blob_key
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.file_format import Role
from services.orchestrator.domain.library_details import NO_DETAILS, Details
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo, VideoInfo
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.disk_space import Room, any_room
from services.orchestrator.ports.media import Media
from services.reasons import AssetReason, Reason, ServiceReason
from services.resource_shortage import shortage

BATCH_BYTES, BATCHES_BEHIND = 1 << 20, 8
ROLES = {"image": Role.PICTURE, "audio": Role.SOUND, "video": Role.VIDEO}
"""The role of a file by its media type. The rest of the type is ignored; the format is read from the bytes."""
UNDECIDED = ("", "application", "*")
"""Media types without information: the bytes decide."""
WAY_OUT = "send a PNG, JPEG, WebP, HEIC or AVIF picture, an MP4 video, or an MP3, WAV, Ogg, FLAC, M4A or AAC sound"


@dataclass(frozen=True, slots=True)
class Upload:
    """The header of an upload: what the caller states about the bytes."""

    media_type: str
    """Such as `image/jpeg` or `audio/*`; empty: the bytes decide."""
    size_bytes: int | None
    sha256: str
    """Empty: not given."""
    details: Details = NO_DETAILS
    """What the library says of it."""

    def role(self) -> Role | None:
        """Returns what the file is for; None: unknown. Raises InvalidUpload for an unsupported media type."""
        kind = self.media_type.partition(";")[0].partition("/")[0].strip().lower()
        if kind not in ROLES and kind not in UNDECIDED:
            what = f"is {self.media_type[:80]!r}; give image/*, audio/* or video/*, or leave it out"
            raise _refuse("header.media_type", what, AssetReason.MEDIA_TYPE_UNSUPPORTED)
        return ROLES.get(kind)


class _Spool:
    """A file that grows, and the digest of what is in it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._hash = hashlib.sha256()
        self.head = b""
        """The first bytes."""

    def add(self, batch: list[bytes]) -> None:
        """Appends. Blocking."""
        for data in batch:
            if len(self.head) < file_format.HEAD_BYTES:
                self.head += data[: file_format.HEAD_BYTES - len(self.head)]
            self._hash.update(data)
            self._file.write(data)

    def digest(self) -> str:
        """Returns the SHA-256 of everything, in hexadecimal."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class Ingest:
    """Takes uploads."""

    assets: Assets
    blobs: Blobs
    clock: Clock
    media: Media
    spool: Path
    """A folder on a local disk."""
    picture_max_bytes: int = 10 * 1000 * 1000
    video_max_bytes: int = 2 * 1000 * 1000 * 1000
    sound_max_bytes: int = 50 * 1000 * 1000
    room: Room = any_room

    async def take(self, upload: Upload, chunks: AsyncIterator[bytes], caller: Caller) -> Asset:
        """Stores an upload and returns its asset. Raises InvalidUpload, QuotaExceeded, Unavailable."""
        role, tenant = upload.role(), caller.tenant
        limit = await self.check(upload, caller)
        with tempfile.TemporaryDirectory(prefix="upload-", dir=self.spool, ignore_cleanup_errors=True) as folder:
            received = Path(folder) / "received"
            size, sha256, head = await self._receive(upload, chunks, received, limit)
            info, clean = await self._probe(received, head, role, size, tenant)
            if clean != received:
                # Hashed while the disk writes; the blob store, which also syncs, then waits for nothing.
                (size, sha256), _ = await asyncio.gather(
                    asyncio.to_thread(_measure, clean), asyncio.to_thread(_sync, clean)
                )
            await self.assets.check(sha256, size, caller)  # before the bytes are stored, which other users may share
            await self.blobs.put_file(blob_key(tenant, sha256), clean, media_type=info.media_type)
            asset = Asset(tenant, caller.user, sha256, size, info, self.clock.now())
            return await self.assets.put(asset, caller, upload.details)

    async def check(self, upload: Upload, caller: Caller) -> int:
        """Checks what can be checked before the bytes come. Returns how many bytes are taken at most.

        Raises InvalidUpload, QuotaExceeded, Unavailable.
        """
        role = upload.role()
        limit = self._check(upload, role)
        self.room(upload.size_bytes or 0)
        if upload.size_bytes and role is not Role.PICTURE:  # a picture is written again, in another size
            await self.assets.check(upload.sha256, upload.size_bytes, caller)
        return limit

    async def _probe(
        self, received: Path, head: bytes, role: Role | None, size: int, tenant: str
    ) -> tuple[PictureInfo | VideoInfo | AudioInfo, Path]:
        """Returns the format and the file to keep. The role is the expected kind; the bytes decide the actual one."""
        if role is None:
            found = file_format.of(head)
            if found is None or found.role is None:
                what = f"is {found.named()}" if found else "is of no known format"
                raise _refuse("data", f"{what}; {WAY_OUT}", AssetReason.MEDIA_TYPE_UNSUPPORTED)
            role = found.role
            if size > self._limit(role):
                raise _too_large("data", size, self._limit(role))
            if found == file_format.MP4:
                return await self._probe_mp4(received, size, tenant), received
        if role is Role.VIDEO:
            return await self.media.video(received, tenant=tenant), received
        if role is Role.SOUND:
            return await self.media.sound(received, tenant=tenant), received
        clean = received.with_name("clean")
        return await self.media.picture(received, clean, tenant=tenant), clean

    async def _probe_mp4(self, received: Path, size: int, tenant: str) -> VideoInfo | AudioInfo:
        """Recorders write sounds under the MP4 brands of videos."""
        try:
            return await self.media.video(received, tenant=tenant)
        except InvalidUpload as no_video:
            if size > self.sound_max_bytes:
                raise
            try:
                return await self.media.sound(received, tenant=tenant)
            except InvalidUpload:
                raise no_video from None

    def _check(self, upload: Upload, role: Role | None) -> int:
        """Returns the limit in bytes. Raises InvalidUpload for errors in the header."""
        limit = self._limit(role)
        if upload.size_bytes is not None and upload.size_bytes > limit:
            raise _too_large("header.size_bytes", upload.size_bytes, limit)
        if wrong := list(library_details.problems(upload.details, "header.details")):
            raise InvalidUpload(wrong, reason=wrong[0].reason)
        if upload.sha256 and (len(upload.sha256) != 64 or set(upload.sha256) - set("0123456789abcdef")):
            raise _refuse("header.sha256", "is not 64 hexadecimal digits", AssetReason.CHECKSUM_MALFORMED)
        return limit

    def _limit(self, role: Role | None) -> int:
        if role is Role.PICTURE:
            return self.picture_max_bytes
        return self.sound_max_bytes if role is Role.SOUND else self.video_max_bytes

    async def _receive(
        self, upload: Upload, chunks: AsyncIterator[bytes], path: Path, limit: int
    ) -> tuple[int, str, bytes]:
        """Spools the bytes; returns their number, their digest and the first of them.

        One thread writes and hashes, in order, a few batches behind the received bytes.
        """
        loop = asyncio.get_running_loop()
        writing: deque[asyncio.Future[None]] = deque()
        batch: list[bytes] = []
        size = held = 0
        with closing(_Spool(path)) as spool, ThreadPoolExecutor(1, thread_name_prefix="spool") as thread:
            try:
                async for data in chunks:
                    size, held = size + len(data), held + len(data)
                    if size > limit:
                        raise _too_large("data", size, limit, at_least=True)
                    batch.append(data)
                    if held >= BATCH_BYTES:
                        self.room(0)  # the remaining space is for running jobs
                        writing.append(loop.run_in_executor(thread, spool.add, batch))
                        batch, held = [], 0
                    if len(writing) > BATCHES_BEHIND:
                        await writing.popleft()
                writing.append(loop.run_in_executor(thread, spool.add, batch))
            finally:
                # In any case: after this returns, no thread writes to the file.
                written = await asyncio.gather(*writing, return_exceptions=True)
        for failure in written:
            if isinstance(failure, OSError) and shortage(failure) is None:
                raise Unavailable(
                    "The upload cannot be spooled. Try again.", reason=ServiceReason.SPOOL_UNAVAILABLE
                ) from failure
            if isinstance(failure, BaseException):
                raise failure
        sha256 = spool.digest()
        if upload.size_bytes is not None and size != upload.size_bytes:
            raise _refuse(
                "data",
                f"was {size} bytes; the header said {upload.size_bytes}. Send it again",
                AssetReason.SIZE_MISMATCH,
            )
        if upload.sha256 and sha256 != upload.sha256:
            raise _refuse("data", "does not have the header's SHA-256. Send it again", AssetReason.CHECKSUM_MISMATCH)
        return size, sha256, spool.head


def _measure(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _too_large(field: str, size: int, limit: int, *, at_least: bool = False) -> InvalidUpload:
    what = f"is {'at least ' if at_least else ''}{size} bytes; at most {limit} are taken. Send a smaller file"
    return _refuse(field, what, AssetReason.UPLOAD_TOO_LARGE)


def _refuse(field: str, description: str, reason: Reason) -> InvalidUpload:
    return InvalidUpload([Violation(field, description, reason)], reason=reason)
