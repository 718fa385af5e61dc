"""TracedBlobs: a blob store whose reads and writes are spans. They name no key: keys hold the names of users."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from services.orchestrator.blobs.wrapped import WrappedBlobs
from services.orchestrator.ports.blobs import Blobs
from services.tracing import spans
from services.tracing.spans import Kind


def traced(store: Blobs) -> Blobs:
    """Returns a store whose reads and writes are spans, if this process makes any."""
    return TracedBlobs(store) if spans.is_on() else store


@dataclass(frozen=True, slots=True)
class TracedBlobs(WrappedBlobs):
    """Everything else is as the store does it."""

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
