"""The scratch folder of a process: what lies in it is worth nothing once the process has ended.

Each process has a folder of its own under a common one, and holds a lock (flock) on a file in it for as long as it
lives. The kernel gives the lock back with the process, however that ends; so a process that gets the lock of a folder
knows that it is not in use any more. That needs no process id, and holds between containers that share a volume of one
machine.
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
"""What has no lock, of versions that had none, is left alone for so long: twice the longest time of a job."""

log = logging.getLogger(__name__)


class Scratch:
    """One process's folder, `path`, until `close`. Blocking, and safe from any thread."""

    def __init__(self, parent: Path) -> None:
        """Makes the folder in `parent`, which is made too. Raises OSError."""
        parent.mkdir(parents=True, exist_ok=True)
        self._parent = parent
        with _locked(parent / f".{LOCK}"):  # no process sweeps a folder whose lock is not taken yet
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            self._lock: int | None = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def sweep(self) -> None:
        """Removes what others beside it have left; see `sweep`."""
        sweep(self._parent)

    def close(self) -> None:
        """Removes the folder. Fails nothing."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep(parent: Path) -> None:
    """Removes the folders of processes that have ended, and says so in the log. Raises OSError."""
    if not parent.exists():
        return
    with ExitStack() as held:
        with _locked(parent / f".{LOCK}"):
            left = [folder for folder in parent.glob(f"{PREFIX}*") if _is_left(folder, held)]
        _remove(left)


def sweep_unlocked(root: Path, *prefixes: str, deep: bool = False, older_s: float = OLD_S) -> None:
    """Removes folders by their prefix that have no lock, once nothing in them has changed for so long.

    With `deep` they are looked for in every folder below `root` too.
    """
    oldest = time.time() - older_s  # noqa: TID251  as the file system has it
    found = []
    for above, names, _ in os.walk(root):
        ours = [name for name in names if name.startswith(prefixes)]
        names[:] = [name for name in names if name not in ours] if deep else []
        found += [Path(above, name) for name in ours]
    _remove([folder for folder in found if _changed(folder) < oldest])


async def keep_sweeping(*sweeps: Callable[[], None], every_s: float = SWEEP_S) -> None:
    """Runs each sweep at once and from time to time, without end. What cannot be swept now is tried again."""
    while True:
        for each in sweeps:
            try:
                await asyncio.to_thread(each)
            except (OSError, RuntimeError) as error:
                log.warning("what ended processes left cannot be swept now", extra={"error": str(error)})
        await asyncio.sleep(every_s)


def _is_left(folder: Path, held: ExitStack) -> bool:
    """Whether no process has a folder any more; then none gets it, until `held` is left."""
    try:
        lock: BinaryIO = held.enter_context((folder / LOCK).open("r+b"))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True  # its process was killed while making it, or while removing it
    except OSError:
        return False  # it is in use, or is not ours to look at
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove(folders: list[Path]) -> None:
    if not folders:
        return
    size_bytes = sum(_size(folder) for folder in folders)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    where = sorted({str(folder.parent) for folder in folders})[:3]
    fields = {"folders": len(folders), "size_bytes": size_bytes, "where": where}
    log.info("swept what ended processes left", extra=fields)


def _files(folder: Path) -> Iterator[os.stat_result]:
    for above, _, names in os.walk(folder):
        for name in (".", *names):
            with suppress(OSError):
                yield os.lstat(os.path.join(above, name))


def _size(folder: Path) -> int:
    return sum(found.st_blocks * 512 for found in _files(folder))


def _changed(folder: Path) -> float:
    return max((found.st_mtime for found in _files(folder)), default=time.time())  # noqa: TID251
