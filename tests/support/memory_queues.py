"""Queues in memory: what they hold, and how often they were read."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.orchestrator.domain.queue_forecast import QueueSnapshot
from tests.support.builders import NOON


@dataclass
class MemoryQueues:
    """Queues as a test says, and how often they were read."""

    queue: QueueSnapshot = field(default_factory=lambda: QueueSnapshot(NOON, 0))
    others: int = 0
    error: Exception | None = None
    counts: int = 0
    snapshots: int = 0
    read_twice: asyncio.Event = field(default_factory=asyncio.Event)
    countable: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, a count takes as long."""

    def __post_init__(self) -> None:
        self.countable.set()

    async def length(self, backend: str) -> int:
        return sum(len(line.job_ids) for line in self.queue.waiting)

    async def lengths(self) -> Mapping[str, int]:
        self.counts += 1
        await asyncio.sleep(0)
        await self.countable.wait()
        if self.error is not None:
            raise self.error
        return {"test": await self.length("test"), "other": self.others}

    async def backends(self, job_ids: Sequence[str]) -> Mapping[str, str]:
        return dict.fromkeys(job_ids, "test")

    async def snapshot(self, backend: str) -> QueueSnapshot:
        self.snapshots += 1
        if self.snapshots == 2:
            self.read_twice.set()
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.queue
