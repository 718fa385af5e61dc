"""TracedBlobs: a blob store whose reads and writes are spans. They name no key: keys hold the names of users."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from services.orchestrator.ports.blobs import Blobs, SignedPost, StoredBlob
from services.tracing import spans
from services.tracing.spans import Kind


def traced(store: Blobs) -> Blobs:
    """Returns a store whose reads and writes are spans, if this process makes any."""
    return TracedBlobs(store) if spans.is_on() else store


@dataclass(frozen=True, slots=True)
class TracedBlobs:
    """Everything is as the store does it."""

    store: Blobs

    async def put_file(self, key: str, path: Path, *, media_type: str) -> None:
        """Stores a file's bytes. Raises Unavailable."""
        with spans.begin("put blob", {"i2v.media_type": media_type}, Kind.CLIENT) as span:
            if span.recorded:
                span.set("i2v.bytes", path.stat().st_size)
            await self.store.put_file(key, path, media_type=media_type)

    async def read(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yields the bytes from `offset`. Raises NotFound, Unavailable."""
        span, read, failure = spans.begin("get blob", kind=Kind.CLIENT), 0, None
        try:
            async for chunk in self.store.read(key, offset=offset, length=length):
                read += len(chunk)
                yield chunk
        except BaseException as error:
            failure = error
            raise
        finally:
            span.set("i2v.bytes", read)
            span.end(failure)

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
