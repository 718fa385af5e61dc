"""Joins small pieces of a stream into larger chunks."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import httpx

CHUNK_BYTES = 896 * 1024
"""Bytes of a chunk, plus at most one read of 64 KiB: a message may have 1 MiB. Each message has a fixed cost, which
equals that of a few hundred kilobytes."""
LEAST_BYTES = 64 * 1024
"""Bytes of a chunk while many videos arrive: it is smaller, so that memory does not grow with their number."""
HELD_BYTES = 64 * 1024 * 1024
"""Bytes that all downloads hold together, approximately."""
CHUNK_S = 0.5
"""Seconds after which an incomplete chunk is passed on: callers expect events, and time limits must be checked."""


def chunk_bytes(downloads: int) -> int:
    """Returns the bytes per chunk for this number of downloads."""
    return min(CHUNK_BYTES, max(LEAST_BYTES, HELD_BYTES // max(1, downloads)))


async def joined_chunks(pieces: AsyncIterator[bytes], enough: Callable[[], int]) -> AsyncGenerator[bytes, None]:
    """Yields the pieces joined into chunks. Before an error it yields the bytes that had arrived by then."""
    loop, held, size, began = asyncio.get_running_loop(), list[bytes](), 0, 0.0
    try:
        async for piece in pieces:
            began = began if held else loop.time()
            held.append(piece)
            size += len(piece)
            if size >= enough() or loop.time() - began >= CHUNK_S:
                yield b"".join(held)
                held, size = [], 0
    except httpx.HTTPError:
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)
