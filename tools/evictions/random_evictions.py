"""Random evictions of an installation's processes, each started again, as a Deployment and a StatefulSet do."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.evictions.plan import Eviction
from tools.evictions.replicas import API, WORKER, Replicas

CONNECT_S = 1.0
"""Seconds that clients get to connect to an API that serves again, before the next one may go."""


@dataclass
class Evicted:
    """What was done."""

    done: list[Eviction] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """One line each; empty: every process ended as it should, and served again."""


async def evict(replicas: Replicas, planned: Sequence[Eviction], most_s: float = math.inf) -> Evicted:
    """Evicts processes in the planned order, those of one kind one after the other; begins none after `most_s`."""
    evicted, until = Evicted(), time.monotonic() + most_s

    async def one_after_the_other(kind: str) -> None:
        for each in (each for each in planned if each.name.startswith(kind)):
            await asyncio.sleep(each.pause_s)
            if time.monotonic() > until:
                return
            if each.killed:
                await replicas.kill(each.name)
            elif code := await replicas.stop(each.name):
                evicted.problems.append(f"{each.name} ended with {code}: {replicas.log(each.name)}")
            await replicas.start(each.name)
            evicted.done.append(each)
            if kind == API:
                await asyncio.sleep(CONNECT_S)

    async with asyncio.TaskGroup() as group:  # so that an API and a worker are often away at the same time
        for kind in (API, WORKER):
            group.create_task(one_after_the_other(kind))
    return evicted
