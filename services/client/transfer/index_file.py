"""Index files: written whole or not at all, and read line by line."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

from services.client.transfer.description import IndexSummary
from services.client.transfer.faults import BrokenExport
from services.client.transfer.records import Index, Record
from services.reasons import LibraryReason

LINE_MOST = 4 << 20
"""Bytes. A record is a message of the API, which has at most 4 MiB."""
PRIVATE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW


class IndexWriter:
    """An index that grows."""

    def __init__(self, folder: Path, index: Index) -> None:
        self._index, self._path = index, folder / index.file
        self._part = folder / f"{index.file}.part"
        self._hash, self._records = hashlib.sha256(), 0

    def __enter__(self) -> Self:
        self._file = open(os.open(self._part, PRIVATE | os.O_TRUNC, 0o600), "wb")
        return self

    def __exit__(self, *of_error: object) -> None:
        self._file.close()

    def add(self, record: Record) -> None:
        """Appends a record."""
        line = record.line(self._index)
        self._hash.update(line)
        self._file.write(line)
        self._records += 1

    def finish(self) -> IndexSummary:
        """Gives the file its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._part.replace(self._path)
        return IndexSummary(self._hash.hexdigest(), self._records)


class IndexReader:
    """The lines of an index; when they have ended, `summary` says what it has."""

    def __init__(self, index: Index, file: BinaryIO) -> None:
        self._index, self._file = index, file
        self._hash, self._records = hashlib.sha256(), 0

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Yields each line, with its place. Raises BrokenExport for one that is too long or has no end."""
        while line := self._file.readline(LINE_MOST + 1):
            self._hash.update(line)
            self._records += 1
            place = f"{self._index.file}:{self._records}"
            if len(line) > LINE_MOST:
                raise BrokenExport(LibraryReason.EXPORT_TOO_LARGE, place, f"the line has more than {LINE_MOST} bytes")
            if not line.endswith(b"\n"):
                raise BrokenExport(LibraryReason.EXPORT_MALFORMED, place, "the last line has no end")
            yield place, line

    @property
    def summary(self) -> IndexSummary:
        """What was read so far."""
        return IndexSummary(self._hash.hexdigest(), self._records)
