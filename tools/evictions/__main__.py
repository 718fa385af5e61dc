"""`python -m tools.evictions`: evicts processes at random, or restarts them in turn, under load; prints a table."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from services.orchestrator.settings import Settings
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from tools.bench import machine
from tools.evictions.outcome import Outcome
from tools.evictions.plan import evictions
from tools.evictions.random_evictions import evict
from tools.evictions.rolling_restart import restart_apis, restart_worker
from tools.evictions.session import Session, session

WARM_UP_S, MEASURED_S = 5.0, 15.0
MOST_WAITING = 100
"""Jobs, during random evictions: they last so long that a machine could not make all that comes in that time."""
LEASE_S = Settings.model_fields["silent_s"].default
Report = Callable[[str, str, str], None]


def row(what: str, measured: str, wanted: str = "") -> None:
    """Prints a row of the table."""
    print(f"| {what} | {measured} | {wanted} |", flush=True)


@asynccontextmanager
async def _session(per_second: float, most_waiting: int, pause_s: float) -> AsyncIterator[Session]:
    settings = {"I2V_FAKE_SLOTS": "8", "I2V_FAKE_PAUSE_S": str(pause_s), "I2V_PIXEL_MARK": "false"}
    # Not below a folder that only its owner can enter: PostgreSQL's account must reach its own.
    with tempfile.TemporaryDirectory(prefix="i2v-evictions-") as folder:
        Path(folder).chmod(0o755)
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        try:
            async with session(postgres.url, Path(folder), per_second, most_waiting, **settings) as running:
                await asyncio.sleep(WARM_UP_S)
                rate = await running.ended_a_second(MEASURED_S)
                quiet_s, running.load.slowest_s = running.load.slowest_s, 0.0
                row("before it: jobs that end a second; slowest call", f"{rate:.0f}; {quiet_s:.2f} s", "the floor")
                yield running
        finally:
            postgres.close()


async def at_random(count: int, seed: int, per_second: float, most_s: float) -> int:
    """Evicts processes at random. Returns the number of problems."""
    async with _session(per_second, MOST_WAITING, 0.2) as running:
        planned = evictions(running.replicas.names, count, seed)
        began = time.monotonic()
        evicted = await evict(running.replicas, planned, most_s)
        seconds = time.monotonic() - began
        kinds = Counter(
            f"{each.name.partition('-')[0]} {'SIGKILL' if each.killed else 'SIGTERM'}" for each in evicted.done
        )
        row(
            f"evictions in {seconds:.0f} s, seed {seed}",
            f"{len(evicted.done)}: " + ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())),
            f"{count}",
        )
        return _print_end(running, await running.end(), evicted.problems)


async def in_turn(per_second: float) -> int:
    """Restarts APIs and workers in turn. Returns the number of problems."""
    async with _session(per_second, 0, 0.5) as running:
        await restart_apis(running)
        for killed in (False, True):
            for name in running.replicas.workers:
                found = await restart_worker(running, name, killed=killed)
                went = f"{'killed' if killed else 'stopped'}, back after {found.away_s:.1f} s"
                row(
                    f"{name} {went}: its running jobs go on",
                    f"{len(found.continued_s)} jobs, at most {found.after_return_s:.1f} s after it is back"
                    f" ({found.slowest_s:.1f} s after it went)",
                    "≤ 10 s",
                )
        gone = running.replicas.workers[-1]
        found = await restart_worker(running, gone, killed=True, returns=False)
        row(
            f"{gone} killed, never back: its running jobs go on elsewhere",
            f"{len(found.continued_s)} jobs, at most {found.slowest_s:.1f} s after it went",
            f"≤ {LEASE_S + 5:.0f} s",
        )
        await running.replicas.start(gone)
        return _print_end(running, await running.end(), [])


def _print_end(running: Session, found: Outcome, problems: list[str]) -> int:
    load = running.load
    calls = ", ".join(f"{number} {name}" for name, number in sorted(load.calls.items()))
    row("calls of the client that failed", f"{len(load.failures)} of {sum(load.calls.values())} ({calls})", "none")
    row("slowest call, repeats included", f"{load.slowest_s:.1f} s")
    states = ", ".join(f"{number} {state}" for state, number in sorted(found.states.items()))
    row("jobs admitted; how they ended", f"{len(load.admitted)}; {states}", "all, none failed")
    problems = [*problems, *found.problems, *load.failures]
    row("jobs lost, settled twice or not at all, and differences of the audit", str(len(found.problems)), "none")
    for each in problems[:20]:
        print(each)
    return len(problems)


def main() -> int:
    """Returns 1 if a call failed, or a job was lost or not settled once."""
    parser = argparse.ArgumentParser(prog="python -m tools.evictions", description=__doc__)
    parser.add_argument("how", choices=("random", "rolling"))
    parser.add_argument("--count", type=int, default=100, help="random evictions (100)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=50.0, help="jobs that are submitted a second (50)")
    parser.add_argument("--minutes", type=float, default=30.0, help="no random eviction begins after so many (30)")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it ends what it started
    print(f"Measured on {machine()}\n\n| what | measured | wanted |\n|---|---|---|", flush=True)
    if given.how == "random":
        return min(1, asyncio.run(at_random(given.count, given.seed, given.rate, given.minutes * 60)))
    return min(1, asyncio.run(in_turn(given.rate)))


if __name__ == "__main__":
    sys.exit(main())
