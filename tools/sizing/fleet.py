"""How many slots a load needs, so that a share of its jobs waits no longer than wanted."""

import math
from dataclasses import dataclass, replace

from tools.sizing import erlang
from tools.sizing.arrivals import SHAPES
from tools.sizing.queue_simulation import Load, simulate, wait_of

SIMULATED_JOBS = 8_000
"""About as many jobs are simulated, where a day has more: then an hour of the highest rate says the same."""
BY_FORMULA = 300
"""Busy slots from which M/M/c is used: chance matters little then, and a simulation takes long."""
WARM_UP_RUNS, RUNS = 3, 12
"""Runs of a mean job that a shortened simulation has at least, and those at its beginning that do not count."""
SEED = 1


@dataclass(frozen=True, slots=True)
class Target:
    """The wait that is wanted."""

    share: float
    """Of the jobs, such as 0.95."""
    wait_s: float


def slots_for(load: Load, run_s: float, target: Target, seed: int = SEED) -> tuple[int, float]:
    """Returns the least number of slots, and the wait of the target's share of jobs with it.

    `run_s` is the mean of the load's runs.
    """
    busy_s = run_s + load.overhead_s
    peak_per_s = load.per_s * SHAPES[load.shape][1]
    if peak_per_s * busy_s > BY_FORMULA:
        slots = by_formula(peak_per_s, busy_s, target)
        return slots, erlang.wait_s(slots, peak_per_s, busy_s, target.share)
    warm_up_s = 0.0
    if load.per_s * load.until_s > SIMULATED_JOBS:
        warm_up_s = WARM_UP_RUNS * busy_s
        until_s = warm_up_s + max(SIMULATED_JOBS / peak_per_s, RUNS * busy_s)
        load = replace(load, per_s=peak_per_s, shape="constant", until_s=until_s)

    def wait_s(slots: int) -> float:
        return wait_of([job for job in simulate(load, slots, seed) if job.submit_s >= warm_up_s], target.share)

    few, many = max(0, math.ceil(load.per_s * busy_s) - 1), max(1, math.ceil(peak_per_s * busy_s))
    while (reached := wait_s(many)) > target.wait_s:
        few, many = many, math.ceil(1.3 * many) + 1
    while many - few > 1:
        middle = (few + many) // 2
        if (found := wait_s(middle)) <= target.wait_s:
            many, reached = middle, found
        else:
            few = middle
    return many, reached


def by_formula(per_s: float, run_s: float, target: Target) -> int:
    """Returns the slots by M/M/c, for a constant rate and exponential runs."""
    few, many = math.floor(per_s * run_s), math.floor(per_s * run_s) + 1
    while erlang.wait_s(many, per_s, run_s, target.share) > target.wait_s:
        few, many = many, math.ceil(1.01 * many) + 1
    while many - few > 1:
        middle = (few + many) // 2
        if erlang.wait_s(middle, per_s, run_s, target.share) <= target.wait_s:
            many = middle
        else:
            few = middle
    return many
