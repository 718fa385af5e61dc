"""When jobs are submitted: a Poisson process, at a constant rate or with a day's shape."""

import math
import random
from collections.abc import Callable, Iterator

DAY_S = 86_400.0
Shape = Callable[[float], float]
"""The rate at a second, as a multiple of its mean over a day."""


def constant(_: float) -> float:
    """The same rate all day."""
    return 1.0


def of_a_day(at_s: float) -> float:
    """Nothing at midnight, twice the mean at noon."""
    return 1.0 - math.cos(2 * math.pi * at_s / DAY_S)


SHAPES: dict[str, tuple[Shape, float]] = {"constant": (constant, 1.0), "day": (of_a_day, 2.0)}
"""By name: the shape, and its highest value."""


def moments(per_s: float, until_s: float, chance: random.Random, shape: str = "constant") -> Iterator[float]:
    """Yields the seconds at which jobs are submitted, in order. `per_s` is the mean over a day."""
    rate, most = SHAPES[shape]
    at_s = 0.0
    while per_s > 0 and (at_s := at_s + chance.expovariate(per_s * most)) < until_s:
        if chance.random() * most < rate(at_s):
            yield at_s
