"""MovingBlobs: a store, and an older one that its blobs are copied from while both are used.

What is written goes to the new store. What is read comes from the new one, or else from the old one. Deletions go to
the old store first, so that who copies and then finds the blob in the old store has copied it before its deletion.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from services.errors import NotFound
from services.orchestrator.domain.asset import TENANTS
from services.orchestrator.ports.blobs import Blobs, SignedPost, StoredBlob


@dataclass(frozen=True, slots=True)
class MovingBlobs:
    """The Blobs port over two stores."""

    new: Blobs
    old: Blobs

    async def put_file(self, key: str, path: Path, *, media_type: str) -> None:
        """Stores a file's bytes in the new store. Raises Unavailable."""
        await self.new.put_file(key, path, media_type=media_type)
        if not key.startswith(TENANTS):
            # Other bytes may be in the old store under such a key: a process with the stores exchanged reads those.
            await self.old.delete(key)

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yields the bytes from `offset`, of the new store or else of the old one. Raises NotFound, Unavailable."""
        first, second = (store.read(key, offset=offset, length=length) for store in (self.new, self.old))
        return _either(first, second)

    async def size(self, key: str) -> int | None:
        """Returns the stored size in bytes, None when nothing is stored in either."""
        size = await self.new.size(key)
        return await self.old.size(key) if size is None else size

    async def delete(self, key: str) -> None:
        """Removes what is stored there, in both."""
        await self.old.delete(key)
        await self.new.delete(key)

    async def delete_idle(self, key: str, *, idle_s: float) -> bool:
        """Removes what is stored there, in both, unless it was written within the last `idle_s` seconds.

        A copy counts as written.
        """
        return await self.old.delete_idle(key, idle_s=idle_s) and await self.new.delete_idle(key, idle_s=idle_s)

    async def stored(self, folder: str, *, after: str, limit: int) -> list[StoredBlob]:
        """Returns what is stored under a folder in either store, in the order of the keys."""
        found = {each.key: each for each in await self.old.stored(folder, after=after, limit=limit)}
        found |= {each.key: each for each in await self.new.stored(folder, after=after, limit=limit)}
        return [found[key] for key in sorted(found)[:limit]]

    async def signed_url(self, key: str, *, expires_s: int, download_name: str, media_type: str) -> str | None:
        """Returns a URL of the store that has the blob. Raises Unavailable."""
        in_old = await self.new.size(key) is None and await self.old.size(key) is not None
        store = self.old if in_old else self.new
        return await store.signed_url(key, expires_s=expires_s, download_name=download_name, media_type=media_type)

    async def signed_post(self, key: str, *, most_bytes: int, expires_s: int) -> SignedPost | None:
        """Returns a form that stores one file in the new store. Raises Unavailable."""
        return await self.new.signed_post(key, most_bytes=most_bytes, expires_s=expires_s)

    async def check(self) -> None:
        """Raises Unavailable when the new store cannot take writes."""
        await self.new.check()

    async def close(self) -> None:
        """Closes connections and threads of both."""
        await self.new.close()
        await self.old.close()


async def _either(first: AsyncIterator[bytes], second: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yields the first stream, or the second one if the first finds nothing."""
    try:
        async with aclosing(first) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                yield chunk
    except NotFound:
        async with aclosing(second) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                yield chunk
