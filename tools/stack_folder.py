"""A folder that one stack at a time may use."""

import fcntl
import os
from pathlib import Path
from typing import Self

from tools.stack_process import StackError


class StackFolder:
    """Locks a folder, as a context manager. The kernel releases the lock when the process ends, in any way."""

    def __init__(self, path: Path, taken: str) -> None:
        """`taken` is the message if another process has the folder. Nothing happens yet."""
        self._path = path
        self._taken = taken

    def __enter__(self) -> Self:
        """Makes the folder if it is missing. Raises StackError, OSError."""
        self._path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StackError(self._taken) from None
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    @property
    def there(self) -> bool:
        """Whether the folder is still the one that was locked: it may have been removed."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._lock))
        except FileNotFoundError:
            return False
