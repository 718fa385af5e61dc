"""Where an export is read from: a folder, or a ZIP archive of it."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from services.client.transfer import description
from services.client.transfer.faults import BrokenExport, Fault
from services.client.transfer.records import INDEXES
from services.reasons import LibraryReason

BYTES = "bytes"
_INDEXES = "|".join(re.escape(index.file) for index in INDEXES)
NAME = re.compile(rf"{re.escape(description.FILE)}|{_INDEXES}|{BYTES}/([0-9a-f]{{2}})/\1[0-9a-f]{{62}}")
"""The files of an export."""


class Source(Protocol):
    """The files of an export, which may be hostile."""

    def files(self) -> Iterator[tuple[str, int] | Fault]:
        """Yields the name and the size of each file with a name of the format, and a fault for all else."""

    def open(self, name: str) -> AbstractContextManager[BufferedReader]:
        """Opens a file. Raises BrokenExport if it is missing, or is no plain file."""

    def on_disk(self, name: str) -> AbstractContextManager[Path]:
        """Yields a path under which a file can be read."""


def bytes_name(sha256: str) -> str:
    """Returns the name of the file with these bytes."""
    return f"{BYTES}/{sha256[:2]}/{sha256}"


def is_unsafe(name: str) -> bool:
    """Whether a name could lead out of the folder."""
    parts = re.split(r"[/\\]", name)
    return not name or name.startswith(("/", "\\")) or ".." in parts or "\0" in name or ":" in parts[0]


def fault_of_name(name: str) -> Fault | None:
    """Returns what is wrong with the name of a file; None: nothing."""
    if is_unsafe(name):
        return Fault(LibraryReason.EXPORT_UNSAFE, name[:200], "the name leads out of the export")
    if not NAME.fullmatch(name):
        return Fault(LibraryReason.EXPORT_ADDITIONAL, name[:200], "no export has a file of this name")
    return None


def missing(name: str) -> BrokenExport:
    """Returns the refusal of an export without a file."""
    return BrokenExport(LibraryReason.EXPORT_INCOMPLETE, name, "the file is missing")
