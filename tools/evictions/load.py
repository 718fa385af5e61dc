"""Calls of the shipped client at a steady rate, as backends make them, and how many of them failed."""

import asyncio
import io
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from i2v.v1 import job_pb2

from i2v_client import AsyncClient, job_spec
from i2v_client.errors import I2VError

T = TypeVar("T")

MODEL = "test-model"
PICTURE = Path("tests/golden/cat.png")
WATCHED, CANCELLED = 5, 20
"""Every so many jobs one is watched to its end, or cancelled."""
WATCHERS = 50
"""Watches at a time."""
SIDE_S = 0.5
"""Seconds between two rounds of other calls: an upload, a download, a list, and one job."""


class WrongAnswer(Exception):
    """A call was answered, but not with what is there."""


class Load:
    """The calls of one installation's callers."""

    def __init__(self, client: AsyncClient, per_second: float, most_waiting: int = 0) -> None:
        """`per_second` jobs are submitted, and none while `most_waiting` have not ended; 0: without that limit."""
        self._client = client
        self._per_second = per_second
        self._most_waiting = most_waiting
        self.waiting = 0
        """Jobs that have not ended, as far as is known."""
        self._watching = asyncio.Semaphore(WATCHERS)
        self.admitted: list[str] = []
        self.calls: Counter[str] = Counter()
        self.failures: list[str] = []
        self.slowest_s = 0.0
        """Of all calls but watches."""

    async def run(self, over: asyncio.Event) -> None:
        """Makes calls until the event is set, then waits for the answers, and for the ends of watched jobs."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._other_calls(over))
            for number in itertools.count():
                await asyncio.sleep(max(0.0, began + number / self._per_second - time.monotonic()))
                if over.is_set():
                    return
                if not self._most_waiting or self.waiting < self._most_waiting:
                    group.create_task(self._submit(number))

    async def _submit(self, number: int) -> None:
        spec = job_spec("A wave.", model=MODEL, duration_s=1, seed=number)
        if (job := await self._counted("submit", lambda: self._client.submit(spec))) is None:
            return
        self.admitted.append(job.name)
        if number % CANCELLED == 0:
            await self._counted("cancel", lambda: self._client.cancel(job.name))
        elif number % WATCHED == 0 and not self._watching.locked():
            async with self._watching:
                await self._counted("watch", lambda: self._watch(job.name), timed=False)

    async def _watch(self, name: str) -> None:
        numbers = [event.sequence async for event in self._client.watch(name)]
        job = await self._client.get(name)
        if job.state != job_pb2.Job.SUCCEEDED or numbers != list(range(1, job.last_sequence + 1)):
            raise WrongAnswer(f"{name} is {job_pb2.Job.State.Name(job.state)} {job.error.reason}, events {numbers}")
        file = io.BytesIO()
        if await self._client.download(job.output.asset, file) != job.output.size_bytes:
            raise WrongAnswer(f"{name} has another video")

    async def _other_calls(self, over: asyncio.Event) -> None:
        while not over.is_set():
            picture = await self._counted("upload", lambda: self._client.upload(PICTURE))
            if picture is not None:
                await self._counted("download", partial(self._client.download, picture.name, io.BytesIO()))
            await self._counted("list", self._list)
            if self.admitted:
                await self._counted("get", lambda: self._client.get(self.admitted[0]))
            await asyncio.sleep(SIDE_S)

    async def _list(self) -> None:
        async for _ in self._client.jobs(page_size=50):
            return

    async def _counted(self, name: str, call: Callable[[], Awaitable[T]], *, timed: bool = True) -> T | None:
        """Makes a call and counts it. Returns None if it failed."""
        began = time.monotonic()
        try:
            return await call()
        except (I2VError, WrongAnswer) as error:
            self.failures.append(f"{name}: {error}")
            return None
        finally:
            self.calls[name] += 1
            if timed:
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
