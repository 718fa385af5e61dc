"""The queue M/M/c by formula, with which the simulation is compared."""

import math


def waits(servers: int, load: float) -> float:
    """Returns the probability that a job waits (Erlang C), for a load in slots: arrivals a second times mean run."""
    blocked = 1.0  # Erlang B, by its recursion over the servers
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - (load / servers) * (1 - blocked))


def mean_wait_s(servers: int, per_s: float, run_s: float) -> float:
    """Returns the mean wait of all jobs, those that do not wait included."""
    load = per_s * run_s
    return waits(servers, load) * run_s / (servers - load)


def wait_s(servers: int, per_s: float, run_s: float, share: float) -> float:
    """Returns the wait that this share of the jobs does not exceed."""
    load = per_s * run_s
    late = waits(servers, load)
    return 0.0 if late <= 1 - share else math.log(late / (1 - share)) * run_s / (servers - load)
