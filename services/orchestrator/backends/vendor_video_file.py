"""The file that a vendor's video is written to as it comes, one piece behind the network, hashed on the way."""

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

SPARE_BYTES = 8 * 1024 * 1024
"""So much may wait for the disk: a store must sync what it keeps, and would wait for all of it at the end."""


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of the data. Raises OSError."""
    view = memoryview(data)
    while view:  # a disk that is nearly full takes a part
        view = view[os.write(descriptor, view) :]


class VendorVideoFile:
    """Call `settle` before reading the result, and `close` at the end in any case."""

    def __init__(self, path: Path, *, write: Callable[[int, bytes], None] = write_all) -> None:
        """`write` writes all of the data to a file descriptor, in a thread."""
        self.path = path
        self._write = write
        self._file = path.open("wb", buffering=0)
        self._open = threading.Lock()
        """A piece may still be on its way into the file when its caller is cancelled and closes it."""
        self._hash = hashlib.sha256()
        self._size = 0
        self._flushed = 0
        """Bytes that the kernel was asked to write out."""
        self._writing: asyncio.Future[None] | None = None

    async def add(self, data: bytes) -> None:
        """Appends, after the piece before: while a thread writes this one, the next may come. Raises OSError."""
        await self.settle()
        self._writing = asyncio.get_running_loop().run_in_executor(None, self._append, data)

    async def settle(self) -> None:
        """Waits until every piece is written. Raises OSError."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    def _append(self, data: bytes) -> None:
        with self._open:
            if self._file.closed:
                return
            self._write(self._file.fileno(), data)
            self._hash.update(data)
            self._size += len(data)
            if self._size - self._flushed >= SPARE_BYTES:
                # This begins to write out what is dirty, waits for nothing, and keeps it readable from memory.
                os.posix_fadvise(self._file.fileno(), self._flushed, self._size - self._flushed, os.POSIX_FADV_DONTNEED)
                self._flushed = self._size

    @property
    def sha256(self) -> str:
        """Hexadecimal digits, of what is written."""
        return self._hash.hexdigest()

    def holds(self, size_bytes: int, sha256: str) -> bool:
        """Whether the written bytes have this size and digest."""
        return self._size == size_bytes and self.sha256 == sha256

    def close(self) -> None:
        """Closes the file, once the piece that is being written is."""
        with self._open:
            self._file.close()
        if self._writing is not None:
            self._writing.add_done_callback(_read_result)


def _read_result(writing: "asyncio.Future[None]") -> None:
    """Reads the result of a write that no caller awaits, so that asyncio does not report it."""
    if not writing.cancelled():
        writing.exception()
