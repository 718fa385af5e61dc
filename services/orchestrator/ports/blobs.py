"""The storage of bytes; their metadata is in the database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A key under which something is stored."""

    key: str
    write_time: datetime
    """By the clock of the blob store."""


class Blobs(Protocol):
    """Where bytes live, by key. Keys are our own (`domain.asset`), never a caller's text."""

    async def put_file(self, key: str, path: Path, *, media_type: str) -> None:
        """Stores a file's bytes, completely or not at all; the file must not change any more. Idempotent.

        Raises: Unavailable.
        """

    def read(self, key: str, *, offset: int = 0) -> AsyncIterator[bytes]:
        """Yields the bytes from `offset` in chunks of at most 1 MiB. Raises NotFound, Unavailable."""

    async def size(self, key: str) -> int | None:
        """Returns the stored size in bytes, None when nothing is stored there."""

    async def delete(self, key: str) -> None:
        """Removes what is stored there, if anything."""

    async def delete_idle(self, key: str, *, idle_s: float) -> bool:
        """Removes what is stored there, unless it was written within the last `idle_s` seconds.

        Returns whether nothing is stored there now.
        """

    async def stored(self, folder: str, *, after: str, limit: int) -> list[StoredBlob]:
        """Returns what is stored under a folder without folders of its own, such as `checkpoints/`, in the order of the
        keys: those that follow `after`, at most `limit`.
        """

    async def check(self) -> None:
        """Raises Unavailable when the store cannot take writes."""

    async def close(self) -> None:
        """Closes connections and threads."""
