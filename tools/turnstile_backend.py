"""A backend for measurements and tests of queues: its jobs end when they are let through."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from services.orchestrator.domain.event import JobError
from services.orchestrator.ports.backend import AttemptFailed, BackendEvent, GenerationRequest, Stage
from services.reasons import JobReason


@dataclass
class Turnstile:
    """A backend whose jobs last until they are let through, one after the other, and then fail at no cost."""

    begun: list[str] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    passes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        """Waits for a pass."""
        async with self.changed:
            self.begun.append(attempt.job_id)
            self.changed.notify_all()
        yield Stage("generate", 0.0)
        await self.passes.acquire()
        raise AttemptFailed(JobError(JobReason.ENGINE_REFUSED, "Enough.", retryable=False))

    async def check(self) -> None:
        """It is always ready."""

    async def until(self, begun: int) -> None:
        """Waits until so many jobs have begun."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.begun) >= begun)

    async def let_through(self, jobs: int) -> None:
        """Ends so many jobs, each when the one before it has been replaced."""
        for _ in range(jobs):
            before = len(self.begun)
            self.passes.release()
            await self.until(before + 1)
