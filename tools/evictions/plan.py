"""Which processes are evicted, in which order, and how: the same for the same seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

KILLED_SHARE = 0.3
"""Of the evictions; the others get a SIGTERM, as from a drained node."""
PAUSE_MOST_S = 1.0


@dataclass(frozen=True, slots=True)
class Eviction:
    """One process that is ended and started again."""

    name: str
    killed: bool
    """By SIGKILL, without a warning."""
    pause_s: float
    """Before it, after the one before of its kind."""


def evictions(names: Sequence[str], count: int, seed: int) -> list[Eviction]:
    """Returns random evictions of processes."""
    chance = random.Random(seed)
    return [
        Eviction(chance.choice(names), chance.random() < KILLED_SHARE, chance.uniform(0, PAUSE_MOST_S))
        for _ in range(count)
    ]
