"""The storage of bytes; their metadata is in the database."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol


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

    async def check(self) -> None:
        """Raises Unavailable when the store cannot take writes."""

    async def close(self) -> None:
        """Closes connections and threads."""
