"""Submissions with a million jobs and ten million events in the tables, compared with empty ones.

`python -m tools.bench_large_tables [--jobs 1000000]`: ten minutes or more, and about 6 GB of disk.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg

from tools import bench_submit, bench_usage
from tools.bench_service import Row
from tools.bench_submit import RATE, TENANT, Round

JOBS, EVENTS = 1_000_000, 10
"""Jobs, and events of each."""
LONGER_MOST = 1.2

# Without the triggers of foreign keys: to check ten million of them takes longer than to measure.
FILL_EVENTS = f"""
INSERT INTO job_events (job_id, sequence, time, kind, body, terminal)
SELECT jobs.id, number, jobs.create_time, CASE number WHEN 1 THEN 'Admitted' ELSE 'Progressed' END,
    '{{"stage": "generate", "progress": 0.5}}', false
FROM jobs CROSS JOIN generate_series(1, {EVENTS}) AS number WHERE jobs.id LIKE 'f00000000000%'
"""


async def fill(bench: bench_usage.Bench, jobs: int) -> None:
    """Makes the rows of ended jobs and their events."""
    await bench.fill(jobs)
    async with await psycopg.AsyncConnection.connect(bench.admin_url, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(FILL_EVENTS)
        await connection.execute("VACUUM ANALYZE job_events")
        await connection.execute("CHECKPOINT")


async def sides(bench: bench_usage.Bench) -> tuple[list[Round], list[Round]]:
    """Returns the rounds of the service, and of the same rows by psycopg alone."""
    return await bench_submit.sides(bench.server, bench.url, [(TENANT, bench.who[:1])])


def rows(empty: list[Round], large: list[Round], jobs: int) -> list[Row]:
    """Returns how much longer a submission takes."""
    found = []
    for what, before, after in (
        (f"median at {RATE:.0f}/s", _median(empty, "median_ms"), _median(large, "median_ms")),
        ("time flat out", 1000 / _median(empty, "per_second"), 1000 / _median(large, "per_second")),
    ):
        ratio = after / before
        measured = f"{ratio:.2f} times ({after:.2f} ms, {before:.2f} ms)"
        name = f"SubmitJob with {jobs:,} jobs and {jobs * EVENTS:,} events stored, compared with none: {what}"
        found.append(Row(name, measured, f"≤ {LONGER_MOST}", ratio <= LONGER_MOST))
    return found


def _median(rounds: list[Round], name: str) -> float:
    return float(statistics.median(getattr(each, name) for each in rounds))


async def main() -> int:
    """Prints the table, with psycopg alone as the floor."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_large_tables", description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS)
    jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder, ExitStack() as stack:
        async with bench_usage.opened(Path(folder), stack) as bench:
            empty, empty_floor = await sides(bench)
            await fill(bench, jobs)
            large, large_floor = await sides(bench)
    print("| what | measured | wanted | |\n|---|---|---|---|", flush=True)
    for whose, before, after in (("", empty, large), (", by psycopg alone", empty_floor, large_floor)):
        for row in rows(before, after, jobs):
            print(f"| {row.what}{whose} | {row.measured} | {row.wanted} | {'✓' if row.met else '✗'} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
