"""Tables of SQLite on disk, in a file without a name that goes with its connection."""

import sqlite3
from typing import ClassVar, Self

CACHE_KB = 16_384


class DiskTable:
    """Tables that take no memory for a million rows. To be used as `with`."""

    TABLES: ClassVar[str]
    """The statements that make them."""

    def __enter__(self) -> Self:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(f"PRAGMA cache_size = -{CACHE_KB}; PRAGMA synchronous = OFF; {self.TABLES} BEGIN;")
        return self

    def __exit__(self, *of_error: object) -> None:
        self._database.close()
