"""The copy of everything that is stored in one blob store to another, while the service uses both.

A blob that is deleted meanwhile must not come back, and a process may be killed after any step. So before the bytes are
stored, a note asks the collector to remove them a day later if no asset needs them then; it is taken back when the blob
is still in the old store afterwards. No removal begins within a day of the note.
"""

import asyncio
import hashlib
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from services.errors import NotFound, Unavailable
from services.orchestrator.domain.asset import CHECKPOINTS, TENANTS, owner_of_key
from services.orchestrator.domain.open_upload import KEPT_FOR, UPLOADS
from services.orchestrator.domain.rendition import asset_of_rendition
from services.orchestrator.ports.blob_references import BlobReferences
from services.orchestrator.ports.blob_removals import BlobRemovals, Note
from services.orchestrator.ports.blobs import Blobs, StoredBlob
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.disk_space import Room, any_room
from services.reasons import ServiceReason
from services.resource_shortage import shortage

PAGE = 500
AT_ONCE = 4
"""Blobs that are copied at the same time; each is spooled."""
BEAT_S = 1.0
BATCH_BYTES = 1 << 20
MEDIA_TYPE = "application/octet-stream"
UPLOAD_MAY_GO_ON = 2 * KEPT_FOR
"""What is older belongs to no upload that can still become an asset."""

Item = TypeVar("Item")


class Phase(StrEnum):
    """What a copy does, in this order."""

    COPYING = "copying"
    CHECKING = "checking"


class Outcome(StrEnum):
    """What became of a key."""

    COPIED = "copied"
    PRESENT = "present"
    """It was in the new store already."""
    DELETED = "deleted"
    """While it was copied."""
    WAITING = "waiting"
    """It belongs to a job or an upload under way, and is removed when that ends. It is not copied."""
    ALTERED = "altered"
    """The bytes in the old store do not have the digest of the key. They are not copied."""
    MISSING = "missing"
    """The database names it, and it is in neither store."""


@dataclass(frozen=True, slots=True)
class Step:
    """The last key that is complete, and what became of it; None: nothing new."""

    phase: Phase
    key: str
    outcome: Outcome | None = None
    size_bytes: int = 0
    """Of the bytes that were copied."""


class Pace:
    """How fast bytes may be read, on average, by all who share it."""

    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._free_s = 0.0

    async def take(self, size_bytes: int) -> None:
        """Waits until so many bytes may have been read."""
        now = asyncio.get_running_loop().time()
        self._free_s = max(self._free_s, now) + size_bytes / self._bytes_per_second
        await asyncio.sleep(self._free_s - now)


@dataclass(frozen=True, slots=True)
class BlobCopy:
    """Copies from the old store to the new one."""

    new: Blobs
    old: Blobs
    removals: BlobRemovals
    references: BlobReferences
    clock: Clock
    spool: Path
    """A folder on a local disk."""
    room: Room = any_room
    count: Callable[[Outcome], None] = lambda outcome: None
    """For metrics."""
    at_once: int = AT_ONCE

    async def run(self, phase: Phase, key: str, *, bytes_per_second: int, dry_run: bool) -> AsyncGenerator[Step, None]:
        """Yields what became of each key, from the one after `key` of a phase; at least once in a second.

        A dry run stores nothing. Raises Unavailable.
        """
        pace = Pace(bytes_per_second)
        if phase == Phase.COPYING:
            async with aclosing(self._copy_all(key, pace, dry_run)) as steps:
                async for step in steps:
                    yield self._counted(step)
            key = ""
        async with aclosing(self._check_all(key, pace, dry_run)) as steps:
            async for step in steps:
                yield self._counted(step)

    def _counted(self, step: Step) -> Step:
        if step.outcome is not None:
            self.count(step.outcome)
        return step

    async def _copy_all(self, after: str, pace: Pace, dry_run: bool) -> AsyncGenerator[Step, None]:
        async def work(blob: StoredBlob) -> Step:
            outcome = await self._look(blob, pace, dry_run)
            size = blob.size_bytes if outcome is Outcome.COPIED else 0
            return Step(Phase.COPYING, blob.key, outcome, size)

        while page := await self.old.stored("", after=after, limit=PAGE):
            async with aclosing(_in_order(page, work, self.at_once)) as steps:
                async for step in steps:
                    after = after if step is None else step.key
                    yield Step(Phase.COPYING, after) if step is None else step

    async def _check_all(self, after: str, pace: Pace, dry_run: bool) -> AsyncGenerator[Step, None]:
        """Looks for each blob that the database names in the new store."""

        async def work(key: str) -> Step:
            outcome = await self._check(key, pace, dry_run)
            return Step(Phase.CHECKING, key, outcome)

        while page := [each.key for each in await self.references.named(after=after, limit=PAGE)]:
            async with aclosing(_in_order(page, work, self.at_once)) as steps:
                async for step in steps:
                    after = after if step is None else step.key
                    yield Step(Phase.CHECKING, after) if step is None else step

    async def _look(self, blob: StoredBlob, pace: Pace, dry_run: bool) -> Outcome | None:
        if blob.key.startswith(TENANTS):
            return await self._copy(blob, pace, dry_run)
        young = blob.write_time > self.clock.now() - UPLOAD_MAY_GO_ON
        waiting = blob.key.startswith(CHECKPOINTS) or (blob.key.startswith(UPLOADS) and young)
        return Outcome.WAITING if waiting else None

    async def _check(self, key: str, pace: Pace, dry_run: bool) -> Outcome | None:
        if await self.new.size(key) is not None:
            return None
        size = await self.old.size(key)
        if size is not None and dry_run:
            return None  # the first phase has counted it
        if size is not None:  # a process that did not know of the new store has stored it
            outcome = await self._copy(StoredBlob(key, self.clock.now(), size), pace, dry_run)
            return None if outcome is Outcome.ALTERED else outcome  # which the first phase has reported
        # It may have been copied, or its row removed, since it was looked for.
        gone = await self.new.size(key) is None and not await self.references.unnamed([key])
        return Outcome.MISSING if gone else None

    async def _copy(self, blob: StoredBlob, pace: Pace, dry_run: bool) -> Outcome:
        owner, size = owner_of_key(blob.key), await self.new.size(blob.key)
        # Of an asset there is one right size. A rendition in the new store may have been made there.
        if size is not None and (owner is None or size == blob.size_bytes):
            return Outcome.PRESENT
        if dry_run:
            return Outcome.COPIED
        self.room(blob.size_bytes)
        try:
            with tempfile.TemporaryDirectory(prefix="copy-", dir=self.spool, ignore_cleanup_errors=True) as folder:
                path = Path(folder) / "blob"
                sha256 = await self._fetch(blob.key, path, pace)
                if owner is not None and sha256 != owner[1]:
                    return Outcome.ALTERED
                return await self._store(blob.key, path)
        except NotFound:
            return Outcome.DELETED
        except OSError as error:
            raise shortage(error) or Unavailable(
                "The blob cannot be spooled. Try again.", reason=ServiceReason.SPOOL_UNAVAILABLE
            ) from error

    async def _fetch(self, key: str, path: Path, pace: Pace) -> str:
        """Reads a blob of the old store into a file. Returns its SHA-256. Raises NotFound, OSError, Unavailable."""
        digest = hashlib.sha256()
        with path.open("wb", buffering=0) as file:

            def add(batch: bytes) -> None:
                digest.update(batch)
                file.write(batch)

            batch = bytearray()
            async for chunk in self.old.read(key):
                batch += chunk
                if len(batch) >= BATCH_BYTES:
                    await asyncio.to_thread(add, bytes(batch))
                    await pace.take(len(batch))
                    batch.clear()
            await asyncio.to_thread(add, bytes(batch))
        return digest.hexdigest()

    async def _store(self, key: str, path: Path) -> Outcome:
        owner, now = owner_of_key(key) or asset_of_rendition(key), self.clock.now()
        note = await self.removals.begin_copy(*owner, now) if owner else None
        if note is Note.REMOVING:
            return Outcome.DELETED
        await self.new.put_file(key, path, media_type=MEDIA_TYPE)
        if await self.old.size(key) is None:
            # The collector removes the copy. Not deleted at once: an upload may be storing the same bytes again, except
            # while they are being removed. The note is renewed: storing may have taken longer than a day.
            if owner is None or await self.removals.begin_copy(*owner, self.clock.now()) is Note.REMOVING:
                await self.new.delete(key)
            return Outcome.DELETED
        if owner and note is Note.NEW:
            await self.removals.end_copy(*owner, now)
        return Outcome.COPIED


async def _in_order(
    items: Iterable[Item], work: Callable[[Item], Coroutine[None, None, Step]], at_once: int
) -> AsyncGenerator[Step | None, None]:
    """Yields the results in the order of the items, and None when none is ready for a while."""
    running: deque[asyncio.Task[Step]] = deque()
    try:
        for item in items:
            running.append(asyncio.create_task(work(item)))
            while len(running) >= at_once:
                yield await _first(running)
        while running:
            yield await _first(running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _first(running: deque[asyncio.Task[Step]]) -> Step | None:
    await asyncio.wait({running[0]}, timeout=BEAT_S)
    return running.popleft().result() if running[0].done() else None
