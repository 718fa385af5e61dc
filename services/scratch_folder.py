"""The scratch folder of a process, for files that are not needed after the process has ended.

Each process has a folder of its own under a common one, and holds a lock (flock) on a file in it while it runs. The
kernel releases the lock when the process ends, in any way. So a process that gets the lock of a folder knows that no
other process uses it any more. This needs no process id, and works between containers that share a volume.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PREFIX = "process-"
LOCK = "lock"
SWEEP_S = 60.0
OLD_S = 2 * 86_400.0
"""Minimum age, in seconds, of files without a lock (from older versions) to remove: twice the longest time of a job."""

log = logging.getLogger(__name__)


class Scratch:
    """One process's folder, `path`, until `close`. Blocking, and safe from any thread."""

    def __init__(self, parent: Path) -> None:
        """Makes the folder in `parent`, and `parent` if needed. Raises OSError."""
        parent.mkdir(parents=True, exist_ok=True)
        self._parent = parent
        with _locked(parent / f".{LOCK}"):  # so that no process removes a folder before its lock is taken
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            self._lock: int | None = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def sweep(self) -> int:
        """Removes the folders of other processes that have ended; see `sweep`."""
        return sweep(self._parent)

    def close(self) -> None:
        """Removes the folder. Raises nothing."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep(parent: Path) -> int:
    """Removes the folders of processes that have ended, and logs it. Returns their number. Raises OSError."""
    if not parent.exists():
        return 0
    with ExitStack() as held:
        with _locked(parent / f".{LOCK}"):
            left = [folder for folder in parent.glob(f"{PREFIX}*") if _is_left(folder, held)]
        return _remove(left)


def sweep_unlocked(root: Path, *prefixes: str, deep: bool = False, older_s: float = OLD_S) -> int:
    """Removes folders with one of these prefixes and without a lock, if nothing in them has changed for `older_s`.

    With `deep` it searches all folders below `root`. Returns the number of removed folders.
    """
    oldest = time.time() - older_s  # noqa: TID251  the clock of the file system
    found = []
    for above, names, _ in os.walk(root):
        ours = [name for name in names if name.startswith(prefixes)]
        names[:] = [name for name in names if name not in ours] if deep else []
        found += [Path(above, name) for name in ours]
    return _remove([folder for folder in found if _changed(folder) < oldest])


async def keep_sweeping(
    *sweeps: Callable[[], int], every_s: float = SWEEP_S, count: Callable[[int], None] = lambda _: None
) -> None:
    """Runs each sweep immediately, then every `every_s` seconds without end. A failed one is logged and repeated.

    `count` gets the number of folders that each sweep removed.
    """
    while True:
        for each in sweeps:
            try:
                count(await asyncio.to_thread(each))
            except (OSError, RuntimeError) as error:
                log.warning("files of ended processes cannot be removed now", extra={"cause": str(error)})
        await asyncio.sleep(every_s)


def _is_left(folder: Path, held: ExitStack) -> bool:
    """Whether no process uses a folder any more; if so, its lock is kept until `held` is left."""
    try:
        lock: BinaryIO = held.enter_context((folder / LOCK).open("r+b"))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True  # a process was killed while making it, or while removing it
    except OSError:
        return False  # it is in use, or we have no access
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove(folders: list[Path]) -> int:
    if not folders:
        return 0
    size_bytes = sum(_size(folder) for folder in folders)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    where = sorted({str(folder.parent) for folder in folders})[:3]
    fields = {"folders": len(folders), "size_bytes": size_bytes, "where": where}
    log.info("removed files of ended processes", extra=fields)
    return len(folders)


def _files(folder: Path) -> Iterator[os.stat_result]:
    for above, _, names in os.walk(folder):
        for name in (".", *names):
            with suppress(OSError):
                yield os.lstat(os.path.join(above, name))


def _size(folder: Path) -> int:
    return sum(found.st_blocks * 512 for found in _files(folder))


def _changed(folder: Path) -> float:
    return max((found.st_mtime for found in _files(folder)), default=time.time())  # noqa: TID251
