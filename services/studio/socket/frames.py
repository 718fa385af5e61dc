"""Frames: the pictures of fragments, decoded once for all connections of a caller. Never shared between callers."""

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from time import perf_counter

from services.studio.caller import Caller
from services.studio.socket.pictures import Pictures, UnreadableError
from services.studio.socket.socket_metrics import SocketMetrics
from services.studio.streams.api import StreamApi

PART_BYTES_MOST = 64 * 2**20
KEPT_CHARACTERS = 96 * 2**20
READS_MOST = 3
"""Parts that are read or decoded at a time."""
READ_S = 60.0
SENDS_MOST = 4
"""Frames that are put into packets at a time, of all connections: what else is to be done comes between them."""


class Frames:
    """Reads and decodes."""

    def __init__(self, api: StreamApi, threads: int, metrics: SocketMetrics) -> None:
        self._api, self._metrics = api, metrics
        self._threads = ThreadPoolExecutor(threads, "frames")
        self._reads = asyncio.Semaphore(READS_MOST)
        self.sends = asyncio.Semaphore(SENDS_MOST)
        """Whoever sends a frame holds it meanwhile, so that progress never waits for the frames of all connections."""
        self._kept: OrderedDict[tuple[Caller, str], Pictures] = OrderedDict()
        self._size = 0
        self._making: dict[tuple[Caller, str], asyncio.Task[Pictures]] = {}

    async def of(self, who: Caller, asset: str) -> Pictures:
        """Returns the pictures of a fragment, which the caller may read. Raises ApiError, UnreadableError."""
        key = who, asset
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        making = self._making.get(key)
        if making is None:
            # It does not end with the first of the connections that share it.
            making = self._making[key] = asyncio.create_task(self._make(who, asset), name="frames")
            making.add_done_callback(lambda task: self._end(key, task))
        return await asyncio.shield(making)

    def close(self) -> None:
        """Ends what is being made."""
        for making in self._making.values():
            making.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _make(self, who: Caller, asset: str) -> Pictures:
        async with self._reads:
            part = await self._read(who, asset)
            began = perf_counter()
            made = await asyncio.get_running_loop().run_in_executor(self._threads, _decode, part)
            self._metrics.decoded.observe(perf_counter() - began)
            return made

    async def _read(self, who: Caller, asset: str) -> bytes:
        part = bytearray()
        try:
            async with asyncio.timeout(READ_S), aclosing(self._api.read(who, asset, "", 0, 0)) as chunks:
                async for chunk in chunks:
                    part += chunk
                    if len(part) > PART_BYTES_MOST:
                        raise UnreadableError(f"has more than {PART_BYTES_MOST} bytes")
        except TimeoutError as error:
            raise UnreadableError("did not arrive in time") from error
        return bytes(part)

    def _end(self, key: tuple[Caller, str], task: asyncio.Task[Pictures]) -> None:
        del self._making[key]
        if task.cancelled() or task.exception() is not None:
            return
        self._kept[key] = task.result()
        self._size += task.result().size
        while self._size > KEPT_CHARACTERS and len(self._kept) > 1:
            self._size -= self._kept.popitem(last=False)[1].size


def _decode(part: bytes) -> Pictures:
    """Returns the pictures of an MP4. Blocks. Raises UnreadableError."""
    # Only here: FFmpeg takes 15 MB, and most installations never ask for pictures.
    from services.studio.socket import decoder

    return decoder.decode(part)
