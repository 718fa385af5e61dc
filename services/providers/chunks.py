"""What comes in pieces of some size, gathered into chunks that are worth handing on."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import httpx

CHUNK_BYTES = 896 * 1024
"""What is handed on at a time, and a read of 64 KiB more at most: a message may have 1 MiB. Each of them costs as much
as a few hundred kilobytes do."""
LEAST_BYTES = 64 * 1024
"""But less when many videos come at once, so that what is held does not grow with them."""
HELD_BYTES = 64 * 1024 * 1024
"""What all of them gather together, about."""
CHUNK_S = 0.5
"""And after so long what there is: a caller wants to hear something, and the time of the whole be looked at."""


def chunk_bytes(downloads: int) -> int:
    """Returns what each of so many downloads gathers before it hands it on."""
    return min(CHUNK_BYTES, max(LEAST_BYTES, HELD_BYTES // max(1, downloads)))


async def gathered(pieces: AsyncIterator[bytes], enough: Callable[[], int]) -> AsyncGenerator[bytes, None]:
    """Yields what comes in pieces of some size, and before any error of theirs what had come by then."""
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
