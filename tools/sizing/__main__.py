"""`python -m tools.sizing --jobs-per-minute 10 --kind nano --kind remote`: what so many jobs of each kind need.

`--kind NAME=RATE` gives a kind a rate of its own. `--scale` prints the needs of 100, 10,000 and 1,000,000 jobs an hour,
of all kinds together, and where one PostgreSQL ends. docs/sizing.md explains the figures.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from tools.sizing import costs as all_costs
from tools.sizing.arrivals import SHAPES
from tools.sizing.costs import Costs
from tools.sizing.fleet import Target
from tools.sizing.needs import Demand, Needs, needs
from tools.sizing.postgres_limit import CORES, bottleneck, shares

HOURLY = (100, 10_000, 1_000_000)
MIX = {"causal": 0.7, "remote": 0.3}
"""Parts of the kinds in `--scale`."""


def rows(found: Needs) -> Iterator[tuple[str, str]]:
    """Yields what is needed and how much, line by line."""
    for kind, slots in found.slots.items():
        servers = f"{found.servers[kind]:,} servers" if found.servers[kind] != 1 else "1 server"
        yield f"slots of `{kind}`", f"{slots:,} on {servers}; the target's share waits ≤ {found.wait_s[kind]:.1f} s"
    yield "GPUs", f"{found.gpus:,}"
    if found.server_cores:
        yield "cores of Tritons without a GPU", f"{found.server_cores:.1f}"
    yield "APIs", f"{found.apis:,} ({found.api_cores:.2f} cores used)"
    yield "workers", f"{found.workers:,} ({found.worker_cores:.2f} cores used)"
    if found.provider_cores:
        yield "providers", f"{found.provider_cores:.2f} cores used"
    yield "memory of our processes", f"{found.memory_bytes / 1e9:.1f} GB with {found.streams:,.0f} open streams"
    yield "PostgreSQL, processors", f"{found.postgres_cores:.2f} cores used"
    yield "PostgreSQL, commits that notify", f"{found.commits_per_s:,.1f}/s"
    yield "PostgreSQL, WAL", f"{found.wal_per_s / 1e6:.2f} MB/s"
    yield "PostgreSQL, connections", f"{found.connections:,}"
    yield "PostgreSQL, tables", f"{found.table_bytes_a_day / 1e9:.2f} GB a day"
    yield "S3", f"{found.stored_bytes_a_day / 1e9:,.0f} GB a day, {found.blob_puts_per_s:,.1f} writes/s"
    ends = bottleneck(found)
    yield f"the most used of one PostgreSQL with {CORES} cores", f"{ends.name}: {ends.used:.1%}"


def table(found: Sequence[tuple[str, Needs]]) -> Iterator[str]:
    """Yields the lines of a table with a column for each load."""
    columns = [dict(rows(each)) for _, each in found]
    yield "| | " + " | ".join(name for name, _ in found) + " |"
    yield "|---|" + "---|" * len(found)
    for what in dict.fromkeys(name for column in columns for name in column):
        yield f"| {what} | " + " | ".join(column.get(what, "") for column in columns) + " |"


def scale(costs: Costs, target: Target) -> Iterator[str]:
    """Yields the table of the three scales, and the shares of one PostgreSQL that they use."""
    found = []
    for hourly in HOURLY:
        demands = [Demand(costs.kinds[kind], part * hourly / 3600) for kind, part in MIX.items()]
        found.append((f"{hourly:,} jobs an hour", needs(demands, costs, target)))
    yield from table(found)
    yield ""
    yield "| of one PostgreSQL | " + " | ".join(name for name, _ in found) + " |"
    yield "|---|" + "---|" * len(found)
    for name in shares(found[0][1]):
        yield f"| {name} | " + " | ".join(f"{shares(each)[name]:.1%}" for _, each in found) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.sizing", description=__doc__)
    parser.add_argument("--jobs-per-minute", type=float, default=10.0, help="of each kind, the mean over a day")
    parser.add_argument("--kind", action="append", metavar="NAME[=RATE]", help="may be repeated; default: every kind")
    parser.add_argument("--wait-s", type=float, default=10.0, help="the wait that is wanted")
    parser.add_argument("--percentile", type=float, default=95.0, help="of the jobs, for which it is wanted")
    parser.add_argument("--shape", choices=tuple(SHAPES), default="constant", help="of a day's rate")
    parser.add_argument("--scale", action="store_true", help="prints the table of three scales instead")
    given = parser.parse_args(arguments)
    costs, target = all_costs.load(), Target(given.percentile / 100, given.wait_s)
    if not 0 < target.share < 1 or target.wait_s < 0 or given.jobs_per_minute < 0:
        parser.error("a percentile is above 0 and below 100; waits and rates are not negative")
    if given.scale:
        print("\n".join(scale(costs, target)))
        return 0
    peak = SHAPES[given.shape][1]
    demands = []
    for each in given.kind or costs.kinds:
        name, _, rate = each.partition("=")
        if name not in costs.kinds:
            parser.error(f"there is no kind {name!r}; there are {', '.join(costs.kinds)}")
        try:
            per_minute = float(rate) if rate else given.jobs_per_minute
        except ValueError:
            parser.error(f"{rate!r} is no number of jobs a minute")
        demands.append(Demand(costs.kinds[name], per_minute / 60, peak))
    if estimated := [each.kind.name for each in demands if not each.kind.measured]:
        print(f"Not measured but estimated: {', '.join(estimated)}.\n")
    names = ", ".join(f"{60 * each.per_s:g} {each.kind.name}" for each in demands)
    print("\n".join(table([(f"a minute: {names}", needs(demands, costs, target, given.shape))])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
