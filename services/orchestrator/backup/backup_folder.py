"""A backup as a folder: `backup.json`, written last, the database's dump, and the list of stored bytes."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

FORMAT = 1


class BadBackup(Exception):
    """The folder is no complete backup, or one that was altered; the message says which."""


@dataclass(frozen=True, slots=True)
class Description:
    """What `backup.json` says."""

    format: int
    create_time: str
    version: str
    """Of the service that made it."""
    blobs: int
    """How many keys the list has."""
    sha256: dict[str, str]
    """Of the other files, by name."""


@dataclass(frozen=True, slots=True)
class BackupFolder:
    """The folder of one backup."""

    path: Path

    @property
    def database(self) -> Path:
        """The dump."""
        return self.path / "database.dump"

    @property
    def inventory(self) -> Path:
        """The list of stored bytes."""
        return self.path / "blobs.jsonl"

    def begin(self) -> None:
        """Makes the folder, for its owner alone. Raises BadBackup if there is something in it, OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(self.path.iterdir()):
            raise BadBackup(f"{self.path} is not empty: name a new folder")

    def complete(self, time: datetime, version: str, blobs: int) -> Description:
        """Writes the description, which makes it a backup."""
        digests = {file.name: _sha256(file) for file in (self.database, self.inventory)}
        made = Description(FORMAT, time.isoformat(), version, blobs, digests)
        (self.path / "backup.json").write_text(json.dumps(asdict(made), indent=1) + "\n")
        return made

    def read(self) -> Description:
        """Returns the description after a check of all files. Raises BadBackup."""
        try:
            found = Description(**json.loads((self.path / "backup.json").read_text()))
            if found.format != FORMAT:
                raise BadBackup(f"{self.path} has the format {found.format}; this version reads {FORMAT}")
            for file in (self.database, self.inventory):
                if found.sha256.get(file.name) != _sha256(file):
                    raise BadBackup(f"{file} is not as it was written: its SHA-256 is another")
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BadBackup(f"{self.path} is no complete backup: {error}") from error
        return found


def _sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
