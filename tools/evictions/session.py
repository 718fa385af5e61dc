"""An installation under load: its processes, its callers, and what became of their jobs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from i2v_client import AsyncClient
from services.client.connection import RETRY_FOR_WITH_SEVERAL_S
from tools.evictions.continuation import Continuations
from tools.evictions.load import Load
from tools.evictions.outcome import Outcome, outcome
from tools.evictions.replicas import Replicas

END_S, LOOK_S = 900.0, 0.5
"""Time for the jobs that wait when the load ends, and between two looks at them."""


@dataclass
class Session:
    """What a measurement uses."""

    url: str
    replicas: Replicas
    load: Load
    jobs: Continuations
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def end(self) -> Outcome:
        """Ends the load, waits until every job has ended, and returns what became of them. Raises TimeoutError."""
        self.over.set()
        async with asyncio.timeout(END_S):
            while await self.jobs.waiting():  # noqa: ASYNC110, workers change it
                await asyncio.sleep(LOOK_S)
        return await outcome(self.url, self.load.admitted)

    @property
    def ids(self) -> list[str]:
        """The ids of all jobs that were admitted."""
        return [name.partition("/")[2] for name in self.load.admitted]

    async def ended_a_second(self, seconds: float) -> float:
        """Returns how many jobs end a second, measured for so long."""
        before, began = await self.jobs.ended(self.ids), time.monotonic()
        await asyncio.sleep(seconds)
        return (len(await self.jobs.ended(self.ids)) - len(before)) / (time.monotonic() - began)


@asynccontextmanager
async def session(
    url: str, data: Path, per_second: float, most_waiting: int = 0, **settings: str
) -> AsyncIterator[Session]:
    """Starts two APIs and two workers on the database, and the load. Leaving the block ends the processes.

    `per_second` and `most_waiting` are those of the load; `settings` are further ones of all processes.
    """
    async with AsyncExitStack() as stack:
        replicas = await stack.enter_async_context(Replicas(url, data, timeout_s=3600, settings=settings))
        await replicas.start(replicas.names[0])  # one migrates
        async with asyncio.TaskGroup() as starting:
            for name in replicas.names[1:]:
                starting.create_task(replicas.start(name))
        client = AsyncClient(replicas.servers, replicas.key, retry_for_s=RETRY_FOR_WITH_SEVERAL_S)
        load, jobs = Load(await stack.enter_async_context(client), per_second, most_waiting), Continuations(url)
        stack.push_async_callback(jobs.close)
        made = Session(url, replicas, load, jobs)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(made.over))
            group.create_task(_count(made))
            try:
                yield made
            finally:
                made.over.set()


async def _count(session: Session) -> None:
    """Keeps the load informed of how many jobs have not ended."""
    while not session.over.is_set():
        session.load.waiting = await session.jobs.waiting()
        await asyncio.sleep(LOOK_S)
