"""The folder of a batch's videos, with its journal, for one batch at a time."""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.client.batch.row import BadInput

OWN = ".i2v-batch"


@dataclass(frozen=True, slots=True)
class BatchFolder:
    """Where the videos are, and `.i2v-batch` with the journal and what is being downloaded."""

    root: Path

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.root / OWN / "journal.sqlite3"

    @property
    def parts(self) -> Path:
        """What is being downloaded."""
        return self.root / OWN / "parts"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder, keeps other batches out of it, and removes what a killed one has left of downloads.

        Raises BadInput if another batch is at work in it, OSError.
        """
        own = self.root / OWN
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        if own.is_symlink():
            raise BadInput(f"{own} is a link, and no batch's own folder")
        descriptor = os.open(own / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BadInput(
                    f"another batch is at work in {self.root}; wait for it, or name another folder"
                ) from None
            shutil.rmtree(self.parts, ignore_errors=True)
            self.parts.mkdir(mode=0o700, exist_ok=True)
            yield
        finally:
            os.close(descriptor)

    def put(self, part: Path, name: str) -> None:
        """Gives a whole download its name. Raises FileExistsError if something has it already, OSError."""
        to = self.root / name
        if os.path.lexists(to):
            raise FileExistsError(errno.EEXIST, "another file has this name; move it away", str(to))
        part.replace(to)

    def size(self, name: str) -> int | None:
        """Returns the bytes of a video; None if it is not there as a plain file."""
        to = self.root / name
        return to.stat().st_size if to.is_file() and not to.is_symlink() else None

    def holds(self, name: str, sha256: str) -> bool:
        """Returns whether a video is there as it should be. Blocking."""
        if self.size(name) is None:
            return False
        with (self.root / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256

    def has(self, name: str) -> bool:
        """Returns whether anything has this name."""
        return os.path.lexists(self.root / name)
