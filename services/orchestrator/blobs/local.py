"""Blobs in a folder: one file per key, under the key's own name.

A file appears by a rename, after its bytes and before its folder are on the disk, so that a crash at any moment
leaves the blob that was there, or the new one, or none. An incomplete blob is in this process's scratch folder on the
same disk, and another process removes it after a crash.
"""

import asyncio
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from services.errors import NotFound, Unavailable
from services.orchestrator.blobs.blob_key import check_key
from services.orchestrator.blobs.blob_range import check_range
from services.orchestrator.blobs.blob_stream import Source, stream
from services.orchestrator.blobs.folder_list import stored_blobs
from services.orchestrator.ports.blobs import StoredBlob
from services.reasons import ServiceReason
from services.resource_shortage import shortage
from services.scratch_folder import Scratch, sweep, sweep_unlocked

T = TypeVar("T")

WALK_S = 86_400.0
"""Seconds between two walks through all folders, for files of versions without a scratch folder."""

_THREADS = 16
_PARTS = ".parts"
"""No key begins with a dot."""


class LocalBlobs:
    """The Blobs port over a folder of this machine, for one machine."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        """The folder."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="blobs")
        self._scratch: Scratch | None = None
        self._making = threading.Lock()
        self._walk_time = -WALK_S

    async def put_file(self, key: str, path: Path, *, media_type: str) -> None:
        """Stores a file's bytes. A call that is cancelled may still store them.

        On the same disk the file and the blob become two names of the same bytes, so the caller must not write on.
        """
        await self._run(lambda: self._put(self._path(key), path))

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yields `length` bytes from `offset`, all without a length; none when the offset is behind the end."""
        path = self._path(key)
        check_range(offset, length)
        return stream(self._threads, lambda: _open(key, path, offset, length))

    async def size(self, key: str) -> int | None:
        """Returns the stored size in bytes, None when nothing is stored there."""
        path = self._path(key)

        def measure() -> int | None:
            try:
                found = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return found.st_size if stat.S_ISREG(found.st_mode) else None

        return await self._run(measure)

    async def delete(self, key: str) -> None:
        """Removes what is stored there; nothing stored is fine."""
        path = self._path(key)

        def remove() -> None:
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
                _sync(path.parent)

        await self._run(remove)

    async def delete_idle(self, key: str, *, idle_s: float) -> bool:
        """Removes what is stored there, unless it was written within the last `idle_s` seconds."""
        path = self._path(key)

        def idle(found: os.stat_result) -> bool:
            return time.time() - found.st_mtime >= idle_s  # noqa: TID251  the clock of the file system

        def remove() -> bool:
            try:
                if not idle(path.stat()):
                    return False
                with tempfile.TemporaryDirectory(dir=self._parts().path, prefix="old-") as folder:
                    old = Path(folder) / "old"
                    # Moved first: what is written meanwhile is either moved, and found here, or stays under the key.
                    path.rename(old)
                    if not idle(old.stat()):
                        with suppress(FileExistsError):
                            os.link(old, path)
                        return False
            except (FileNotFoundError, NotADirectoryError):
                return True
            _sync(path.parent)
            return True

        return await self._run(remove)

    async def stored(self, folder: str, *, after: str, limit: int) -> list[StoredBlob]:
        """Returns what is stored under a folder, in the order of the keys."""
        return await self._run(lambda: stored_blobs(self.root, folder, after, limit))

    async def signed_url(self, key: str, *, expires_s: int, download_name: str, media_type: str) -> None:
        """Returns None: a folder has no URLs."""

    async def signed_post(self, key: str, *, most_bytes: int, expires_s: int) -> None:
        """Returns None: a folder takes no forms."""

    async def check(self) -> None:
        """Raises Unavailable when nothing can be written."""

        def write() -> None:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(b"\0")

        await self._run(write)

    def sweep(self) -> int:
        """Removes the incomplete blobs of ended processes; returns the number of folders. Blocking. Raises OSError."""
        removed = sweep(self.root / _PARTS)
        if time.monotonic() - self._walk_time >= WALK_S:
            removed += sweep_unlocked(self.root, ".put-", deep=True)
            self._walk_time = time.monotonic()
        return removed

    async def close(self) -> None:
        """Ends the threads once their work is done."""
        await asyncio.to_thread(self._threads.shutdown)
        if self._scratch is not None:
            await asyncio.to_thread(self._scratch.close)

    def _parts(self) -> Scratch:
        """Returns the folder of incomplete blobs; a new one if it was removed. Raises OSError."""
        with self._making:
            if self._scratch is None or not self._scratch.path.is_dir():
                self._scratch = Scratch(self.root / _PARTS)
            return self._scratch

    def _path(self, key: str) -> Path:
        check_key(key)
        return self.root / key

    def _put(self, path: Path, source: Path) -> None:
        self._make_folder(path.parent)
        with tempfile.TemporaryDirectory(dir=self._parts().path, prefix="put-", ignore_cleanup_errors=True) as folder:
            new = Path(folder) / "new"
            try:
                os.link(source, new)
            except OSError:  # another disk, or one that knows no links
                shutil.copyfile(source, new)
            with new.open("rb") as written:
                os.fsync(written.fileno())
            new.replace(path)
        _sync(path.parent)

    def _make_folder(self, folder: Path) -> None:
        """Makes a folder and those above it, each on the disk before anything is put into it."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for new in reversed(missing):
            new.mkdir(exist_ok=True)
            _sync(new.parent)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise _unavailable(error) from error


class _File:
    def __init__(self, path: Path, offset: int, length: int | None) -> None:
        # Unbuffered: a chunk is read by one system call, straight into the bytes that are sent.
        self._file = path.open("rb", buffering=0)
        self._file.seek(offset)
        self._left = sys.maxsize if length is None else length

    def read(self, size: int) -> bytes:
        try:
            data = self._file.read(min(size, self._left))
        except OSError as error:
            raise _unavailable(error) from error
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


def _open(key: str, path: Path, offset: int, length: int | None) -> Source:
    try:
        return _File(path, offset, length)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise NotFound("blob", key.rpartition("/")[2]) from None
    except OSError as error:
        raise _unavailable(error) from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unavailable(error: OSError) -> Unavailable:
    if (lacking := shortage(error)) is not None:
        return lacking
    what = os.strerror(error.errno) if error.errno else type(error).__name__
    return Unavailable(f"The blob folder cannot be used: {what}.", reason=ServiceReason.BLOBS_UNAVAILABLE)
