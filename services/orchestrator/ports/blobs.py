"""The storage of bytes; their metadata is in the database."""

from collections.abc import AsyncIterator, Mapping
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
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SignedPost:
    """A form (multipart/form-data) that stores one file. Whoever has it may send it until it expires."""

    url: str
    fields: Mapping[str, str]
    """The fields of the form; the field `file` with the file's bytes comes after them."""


class Blobs(Protocol):
    """Where bytes live, by key. Keys are our own (`domain.asset`), never a caller's text."""

    async def put_file(self, key: str, path: Path, *, media_type: str) -> None:
        """Stores a file's bytes, completely or not at all; the file must not change any more. Idempotent.

        Raises: Unavailable.
        """

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yields the bytes from `offset` in chunks of at most 1 MiB: at most `length` (at least 1), or all to the end.

        An offset behind the end yields nothing. Raises NotFound, Unavailable.
        """

    async def size(self, key: str) -> int | None:
        """Returns the stored size in bytes, None when nothing is stored there."""

    async def delete(self, key: str) -> None:
        """Removes what is stored there, if anything."""

    async def delete_idle(self, key: str, *, idle_s: float) -> bool:
        """Removes what is stored there, unless it was written within the last `idle_s` seconds.

        Returns whether nothing is stored there now.
        """

    async def stored(self, folder: str, *, after: str, limit: int) -> list[StoredBlob]:
        """Returns what is stored under a folder, such as `tenants/`, and the folders in it, in the order of the keys:
        those that follow `after`, at most `limit`. An empty folder means the whole store.
        """

    async def signed_url(self, key: str, *, expires_s: int, download_name: str, media_type: str) -> str | None:
        """Returns a URL from which anyone can GET the blob, or ranges of it, for this many seconds (at most 7 days).

        The answer has the media type, and makes a browser save the blob as `download_name` (in any script), or show it
        if the name is empty. Whether the blob exists is not checked. None: this store has no URLs. Raises Unavailable.
        """

    async def signed_post(self, key: str, *, most_bytes: int, expires_s: int) -> SignedPost | None:
        """Returns a form by which anyone can store one file of 1 to `most_bytes` bytes for this many seconds.

        What comes that way is not checked, and can be replaced until the form expires. None: this store takes no
        forms. Raises Unavailable.
        """

    async def check(self) -> None:
        """Raises Unavailable when the store cannot take writes."""

    async def close(self) -> None:
        """Closes connections and threads."""
