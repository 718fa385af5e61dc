"""How soon running jobs go on when their worker is stopped, killed and back, or never back."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tools.evictions.random_evictions import CONNECT_S
from tools.evictions.session import Session

LOOK_S, CONTINUE_S = 0.2, 120.0


@dataclass(frozen=True, slots=True)
class Restart:
    """A worker that went."""

    away_s: float
    """Until it served again; 0: it did not."""
    continued_s: tuple[float, ...]
    """Of each job that it ran: when the next attempt began, in seconds after the worker went."""

    @property
    def slowest_s(self) -> float:
        """The slowest job, in seconds after the worker went; 0: all ended before."""
        return max(self.continued_s, default=0.0)

    @property
    def after_return_s(self) -> float:
        """The slowest job, in seconds after the worker was back; 0: every one had begun before, elsewhere."""
        return max(0.0, self.slowest_s - self.away_s)


async def restart_apis(session: Session) -> None:
    """Stops and starts the APIs, one after the other."""
    for name in session.replicas.addresses:
        await session.replicas.stop(name)
        await session.replicas.start(name)
        await asyncio.sleep(CONNECT_S)


async def restart_worker(session: Session, name: str, *, killed: bool, returns: bool = True) -> Restart:
    """Ends a worker that runs jobs, starts it again if it `returns`, and waits until its jobs have gone on."""
    replicas = session.replicas
    async with asyncio.timeout(CONTINUE_S):
        while not (running := await session.jobs.running(name)):  # noqa: ASYNC110, it is another process that changes
            await asyncio.sleep(LOOK_S)
    began, clock = datetime.now(UTC), time.monotonic()
    await (replicas.kill(name) if killed else replicas.stop(name))
    if returns:
        await replicas.start(name)
    away_s = time.monotonic() - clock if returns else 0.0
    times = await _continued(session, running)
    return Restart(away_s, tuple(sorted((each - began).total_seconds() for each in times.values())))


async def _continued(session: Session, running: Mapping[str, int]) -> Mapping[str, datetime]:
    """Waits until each job has begun its next attempt, or ended in the one that it had. Raises TimeoutError."""
    async with asyncio.timeout(CONTINUE_S):
        while True:
            times = await session.jobs.continued(running)
            if not running.keys() - times.keys() - await session.jobs.ended(running):
                return times
            await asyncio.sleep(LOOK_S)
