"""The target of a download: a file that appears only when it is complete, or a target for a stream of bytes.

Devices, pipes and stdout are written into, never replaced. A link is followed.
"""

import asyncio
import contextlib
import errno
import os
import secrets
import select
import shutil
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from i2v_client.daemon_thread import in_daemon_thread

STDOUT = 1
Write = Callable[[bytes], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A place for a download."""

    path: Path | None
    """None: stdout."""

    @classmethod
    def named(cls, typed: str) -> "OutputFile":
        """Returns the output for a name: `-` is stdout, and so is a path that leads there."""
        if typed == "-":
            return cls(None)
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(typed), os.fstat(STDOUT)):
                return cls(None)
        return cls(Path(typed))

    def __str__(self) -> str:
        return "-" if self.path is None else str(self.path)

    @property
    def waits_for_a_reader(self) -> bool:
        """Whether this is a named pipe: a write waits until another process reads it."""
        return self.path is not None and stat.S_ISFIFO(_mode(self.path))

    def check(self) -> None:
        """Raises OSError if the output cannot be written. Leaves nothing behind."""
        if self.path is None:
            os.fstat(STDOUT)
            return
        mode = _mode(self.path)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self.path))
        if stat.S_ISFIFO(mode):  # opening and closing it would be an end of file for its reader
            if not os.access(self.path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.path))
        elif _is_file(mode):
            # Permissions alone do not show whether a file can be made in a folder.
            with contextlib.ExitStack() as opened:
                target, file = _part_of(self.path)
                opened.enter_context(file)
                if Path(file.name) != target:
                    os.unlink(file.name)
        else:
            os.close(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY))

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Write]:
        """Yields a function that appends bytes. A file gets its name when the block ends without an error; otherwise
        nothing changes.

        Raises:
            OSError: it cannot be written.
        """
        if self.path is not None and _is_file(_mode(self.path)):
            with _whole_file(self.path) as file:
                yield lambda data: asyncio.to_thread(file.write, data)
            return
        open_it = partial(os.dup, STDOUT) if self.path is None else partial(os.open, self.path, FOR_BYTES)
        descriptor = await in_daemon_thread(open_it)
        try:
            yield partial(in_daemon_thread, _write_all, descriptor)
        finally:
            os.close(descriptor)


FOR_BYTES = os.O_WRONLY | os.O_NOCTTY


def _mode(path: Path) -> int:
    """Returns the mode of a path's target, 0 if there is nothing yet. Raises OSError."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return 0


def _is_file(mode: int) -> bool:
    return not mode or stat.S_ISREG(mode)


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    target, part = _part_of(path)
    with part:
        if Path(part.name) == target:
            part.truncate()
            yield part
            return
        try:
            yield part
            part.flush()
            os.fsync(part.fileno())
            _take_place(Path(part.name), target)
        finally:
            Path(part.name).unlink(missing_ok=True)


def _part_of(path: Path) -> tuple[Path, BinaryIO]:
    """Returns the target of a path, and a new file next to it, or the target again if the folder accepts no new file.

    The new name is short, so that every file system that accepts the target's name accepts it.
    """
    target = Path(os.path.realpath(path))
    exists = target.exists()  # raises OSError for a name that is too long
    if exists and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    try:
        return target, (target.parent / f".i2v-{secrets.token_hex(4)}").open("xb")
    except PermissionError:
        if not exists:
            raise
        return target, target.open("r+b")


def _take_place(part: Path, target: Path) -> None:
    """Gives the file its name. Writes into a present file that cannot be replaced, such as a mount point."""
    exists = target.exists()
    if exists:
        shutil.copymode(target, part)
    try:
        part.replace(target)
    except OSError:
        if not exists:
            raise
        shutil.copyfile(part, target)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # another process has set the shared pipe to non-blocking
            select.select([], [descriptor], [])
