"""WrappedBlobs: a blob store inside another one, which does what it does. Subclasses change single methods."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from services.orchestrator.ports.blobs import Blobs, SignedPost, StoredBlob


@dataclass(frozen=True, slots=True)
class WrappedBlobs:
    """Everything is as the store does it."""

    store: Blobs

    async def put_file(self, key: str, path: Path, *, media_type: str) -> None:
        """Stores a file's bytes. Raises Unavailable."""
        await self.store.put_file(key, path, media_type=media_type)

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yields the bytes from `offset`. Raises NotFound, Unavailable."""
        return self.store.read(key, offset=offset, length=length)

    async def size(self, key: str) -> int | None:
        """Returns the stored size in bytes, None when nothing is stored there."""
        return await self.store.size(key)

    async def delete(self, key: str) -> None:
        """Removes what is stored there, if anything."""
        await self.store.delete(key)

    async def delete_idle(self, key: str, *, idle_s: float) -> bool:
        """Removes what is stored there, unless it was written within the last `idle_s` seconds."""
        return await self.store.delete_idle(key, idle_s=idle_s)

    async def stored(self, folder: str, *, after: str, limit: int) -> list[StoredBlob]:
        """Returns what is stored under a folder, in the order of the keys."""
        return await self.store.stored(folder, after=after, limit=limit)

    async def signed_url(self, key: str, *, expires_s: int, download_name: str, media_type: str) -> str | None:
        """Returns a URL from which anyone can GET the blob. Raises Unavailable."""
        return await self.store.signed_url(key, expires_s=expires_s, download_name=download_name, media_type=media_type)

    async def signed_post(self, key: str, *, most_bytes: int, expires_s: int) -> SignedPost | None:
        """Returns a form by which anyone can store one file. Raises Unavailable."""
        return await self.store.signed_post(key, most_bytes=most_bytes, expires_s=expires_s)

    async def check(self) -> None:
        """Raises Unavailable when the store cannot take writes."""
        await self.store.check()

    async def close(self) -> None:
        """Closes connections and threads."""
        await self.store.close()
