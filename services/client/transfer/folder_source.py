"""An export in a folder. Links are not followed, and devices are not read."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from services.client.transfer.faults import BrokenExport, Fault
from services.client.transfer.sources import BYTES, fault_of_name, missing
from services.reasons import LibraryReason

DEPTH_MOST = 2
"""Folders inside one another: `bytes/aa`."""
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A named pipe would be waited for."""


class FolderSource:
    """The files under a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def files(self) -> Iterator[tuple[str, int] | Fault]:
        """Yields the name and the size of each file with a name of the format, and a fault for all else."""
        yield from self._under("", 0)

    @contextmanager
    def open(self, name: str) -> Iterator[BufferedReader]:
        """Opens a file. Raises BrokenExport if it is missing, or is no plain file."""
        try:
            descriptor = os.open(self._root / name, FLAGS)
        except FileNotFoundError:
            raise missing(name) from None
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO, errno.ENOTDIR):
                raise
            raise _no_file(name) from None
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _no_file(name)
            yield file

    @contextmanager
    def on_disk(self, name: str) -> Iterator[Path]:
        """Yields the path of a file."""
        yield self._root / name

    def _under(self, folder: str, depth: int) -> Iterator[tuple[str, int] | Fault]:
        with os.scandir(self._root / folder) as found:
            for each in found:
                name = f"{folder}/{each.name}" if folder else each.name
                if each.is_dir(follow_symlinks=False):
                    if depth < DEPTH_MOST and (name == BYTES or folder == BYTES):
                        yield from self._under(name, depth + 1)
                    else:
                        yield Fault(LibraryReason.EXPORT_ADDITIONAL, _shown(name), "no export has this folder")
                elif not each.is_file(follow_symlinks=False):
                    yield Fault(LibraryReason.EXPORT_UNSAFE, _shown(name), "this is a link or a device")
                else:
                    yield fault_of_name(_shown(name)) or (name, each.stat(follow_symlinks=False).st_size)


def _shown(name: str) -> str:
    """Returns a name of any bytes as text."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _no_file(name: str) -> BrokenExport:
    return BrokenExport(LibraryReason.EXPORT_UNSAFE, name, "this is a link, a folder or a device")
