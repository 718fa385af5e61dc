"""A seeded simulation of one backend's queue: tenants with weights, and slots that take their jobs in turns.

Turns are those of the service (`domain/turns.py`), so shares and waits are those of its queue.
"""

import math
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from services.orchestrator.domain.turns import TenantShare, Turn, Turns
from tools.sizing import arrivals

Run = Callable[[random.Random], float]
"""Draws the seconds that a job has its slot."""


def exponential(mean_s: float) -> Run:
    """Runs of an exponential distribution: those of the queue M/M/c."""
    return lambda chance: chance.expovariate(1 / mean_s)


def around(mean_s: float, spread: float) -> Run:
    """Runs around a mean, log-normally; `spread` is the standard deviation of the logarithm. 0: all the same."""
    return lambda chance: mean_s * math.exp(chance.gauss(-spread * spread / 2, spread))


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked of a backend."""

    per_s: float
    """Jobs a second, of all tenants, the mean over a day."""
    run: Run
    tenants: Mapping[str, tuple[int, float]] = field(default_factory=lambda: {"one": (1, 1.0)})
    """Weight of each tenant's plan, and its part of the jobs."""
    shape: str = "constant"
    until_s: float = arrivals.DAY_S
    overhead_s: float = 0.0
    """From the end of a job to the start of the next one in its slot."""


@dataclass(slots=True)
class Job:
    """A job of the simulation."""

    share: TenantShare
    submit_s: float
    run_s: float
    start_s: float = math.inf
    turn: Turn | None = None

    @property
    def wait_s(self) -> float:
        """From its submission to its start."""
        return self.start_s - self.submit_s


def simulate(load: Load, slots: int, seed: int = 1) -> list[Job]:
    """Returns the jobs of a load in the order of their submission; all begin, also after the last submission."""
    jobs = jobs_of(load, random.Random(seed))
    play(jobs, slots, load.overhead_s)
    return jobs


def jobs_of(load: Load, chance: random.Random) -> list[Job]:
    """Returns the jobs of a load in the order of their submission. None has begun."""
    shares = [TenantShare(name, 0, weight) for name, (weight, _) in load.tenants.items()]
    parts = [part for _, part in load.tenants.values()]
    return [
        Job(chance.choices(shares, parts)[0], at_s, load.run(chance))
        for at_s in arrivals.moments(load.per_s, load.until_s, chance, load.shape)
    ]


def play(jobs: Sequence[Job], slots: int, overhead_s: float = 0.0) -> None:
    """Lets jobs begin when there are slots for them. `overhead_s` passes between two jobs in a slot."""
    numbers, turns = count(), Turns()
    events: list[tuple[float, int, Job]] = [(job.submit_s, next(numbers), job) for job in jobs]
    lines: dict[TenantShare, deque[Job]] = {}
    free = slots
    while events:
        now_s, _, job = heappop(events)
        if job.turn is None:
            lines.setdefault(job.share, deque()).append(job)
        else:
            turns.ended(job.turn, job.run_s)
            free += 1
        while lines and free:
            turns.update(lines)
            turn = turns.next(lines)
            line = lines[turn.share]
            begun = line.popleft()
            if not line:
                del lines[turn.share]
            begun.turn, begun.start_s = turn, now_s
            free -= 1
            heappush(events, (now_s + begun.run_s + overhead_s, next(numbers), begun))


def wait_of(jobs: Sequence[Job], share: float) -> float:
    """Returns the wait that this share of the jobs does not exceed, in seconds."""
    waits = sorted(job.wait_s for job in jobs)
    return waits[min(len(waits) - 1, math.ceil(share * len(waits)) - 1)] if waits else 0.0
