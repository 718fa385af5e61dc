"""Gives the fragments of a job to what shows them, while its events arrive. The watch never waits for it."""

import asyncio
import io
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from i2v.v1 import job_pb2

from i2v_client import AsyncClient
from i2v_client.errors import I2VError

LARGEST_BYTES = 50_000_000
"""A larger video is not shown: it is held in memory."""


class Viewer(Protocol):
    """Shows the fragments of one job."""

    async def fragment(self, index: int, data: bytes) -> None:
        """Shows a fragment; one with an index that was shown replaces it and all after it."""

    async def end(self, *, watched: bool) -> None:
        """Finishes: `watched` if the job ended, else at once."""


class FragmentFeed:
    """Downloads each fragment once, in order. A vendor's job without fragments has one: its video."""

    def __init__(
        self, client: AsyncClient, viewers: Sequence[Viewer], *, report: Callable[[str], None], patience_s: float = 60.0
    ) -> None:
        """`patience_s`: seconds, after the end of the job, for what is not shown yet."""
        self._patience_s = patience_s
        self._client = client
        self._report = report
        self._announced: asyncio.Queue[tuple[int, str] | None] = asyncio.Queue()
        self._queues: list[tuple[Viewer, asyncio.Queue[tuple[int, bytes] | None]]] = [
            (each, asyncio.Queue()) for each in viewers
        ]
        self._any = False
        self._stopped = False

    def event(self, event: job_pb2.JobEvent) -> None:
        """Takes note of a fragment."""
        kind = event.WhichOneof("event")
        if kind == "fragment_ready" and event.fragment_ready.asset:
            self._any = True
            self._announced.put_nowait((event.fragment_ready.index, event.fragment_ready.asset))
        elif kind == "succeeded" and not self._any and event.succeeded.output.size_bytes <= LARGEST_BYTES:
            self._announced.put_nowait((0, event.succeeded.output.asset))

    def stop(self) -> None:
        """Leaves the rest of the video unseen."""
        self._stopped = True

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._show(viewer, queue)) for viewer, queue in self._queues]
        self._download = asyncio.create_task(self._fetch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        watched = kind is None and not self._stopped and await self._finished()
        for task in (self._download, *self._tasks):
            task.cancel()
        await asyncio.gather(self._download, *self._tasks, return_exceptions=True)
        for viewer, _ in self._queues:
            await viewer.end(watched=watched)

    async def _finished(self) -> bool:
        """Waits until all is shown. Returns False if a viewer hangs, or a Ctrl-C ends the wait: the job has ended."""
        self._announced.put_nowait(None)
        try:
            async with asyncio.timeout(self._patience_s):
                await asyncio.gather(self._download, *self._tasks)
        except TimeoutError:
            self._report("The video is not shown to its end: its player hangs, or waits for a person.")
            return False
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            return False
        return True

    async def _fetch(self) -> None:
        while (announced := await self._announced.get()) is not None and self._queues:
            data = io.BytesIO()
            try:
                await self._client.download(announced[1], data)
            except I2VError as error:
                self._report(f"A part of the video cannot be shown: {error.message}")
                continue
            for _, queue in self._queues:
                queue.put_nowait((announced[0], data.getvalue()))
        for _, queue in self._queues:
            queue.put_nowait(None)

    async def _show(self, viewer: Viewer, queue: asyncio.Queue[tuple[int, bytes] | None]) -> None:
        while (fragment := await queue.get()) is not None:
            await viewer.fragment(*fragment)
