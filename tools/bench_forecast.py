"""How well the expected start of a job is forecast: a simulated day of mixed load, in a few seconds.

The day has two backends: four slots of our own, and a vendor's account with a limit of starts a minute. Twelve tenants
with different weights submit jobs of three models at rates that rise and fall with the time of day, some of them in
large batches. Slots take jobs by `Turns`, as workers do, and forecasts are those of the API, from the runs that were
measured so far. How long a job runs varies around the rate of its model. Run it by `python -m tools.bench_forecast`.
"""

import math
import random
import statistics
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count

from services.orchestrator.domain.queue_forecast import QueueSnapshot, RunningJob, WaitingLine, forecast
from services.orchestrator.domain.run_rates import RunRates
from services.orchestrator.domain.turns import TenantShare, Turn, Turns
from tools.bench_service import Row

DAY_S = 86_400.0
SEEDS = (1, 2, 3)
BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
NOTICED_S = 10.0
"""A job that waits less is not counted: its expected start does not matter."""
RECENT_S = 600.0
EVERY = 4
"""One job of so many is looked at."""
SHOWN_S = 1.0
"""Seconds after a submission at which its caller sees when the job is expected to start."""
SPREAD = 0.25
"""Standard deviation of the logarithm of a run."""


@dataclass(frozen=True)
class Load:
    """The day of one backend."""

    slots: int
    per_minute: int | None
    seconds_per_second: dict[str, float]
    """By variant: how long a job runs for a second of video."""
    jobs_a_day: float
    """Of all tenants, without the batches."""
    batches: int
    batch: int


OWN = Load(
    4, None, {"small quality 480x272": 4.0, "small fast 480x272": 1.5, "large quality 832x480": 12.0}, 6_000, 10, 120
)
VENDOR = Load(20, 5, {"vendor quality 720p": 25.0, "vendor quality 480p": 15.0}, 3_600, 6, 80)


@dataclass
class Waiting:
    """A job of the simulation."""

    job_id: str
    share: TenantShare
    variant: str
    duration_ms: int
    run_s: float
    submit_s: float
    expected_s: float | None = None
    """When it is expected to start."""
    turn: Turn | None = None
    start_s: float = 0.0


@dataclass
class Day:
    """The state of one backend."""

    load: Load
    turns: Turns = field(default_factory=Turns)
    lines: dict[TenantShare, deque[Waiting]] = field(default_factory=dict)
    running: dict[str, Waiting] = field(default_factory=dict)
    starts_s: deque[float] = field(default_factory=deque)
    rates: dict[str, tuple[int, float]] = field(default_factory=dict)
    submitted: deque[tuple[float, TenantShare]] = field(default_factory=deque)
    new: list[Waiting] = field(default_factory=list)
    """Jobs whose expected start was not looked up yet."""

    def submit(self, job: Waiting) -> None:
        """Queues a job."""
        self.lines.setdefault(job.share, deque()).append(job)
        if int(job.job_id) % EVERY == 0:
            self.new.append(job)
        self.submitted.append((job.submit_s, job.share))

    def show(self, now_s: float) -> None:
        """Looks up what is expected of the jobs that were submitted since the last time, as their watchers see it."""
        found = forecast(self._snapshot(now_s))
        for job in self.new:
            expected = found.of(job.job_id)
            if expected is not None and expected.start_time is not None:
                job.expected_s = (expected.start_time - BEGIN).total_seconds()
        self.new.clear()

    def start(self, now_s: float) -> Iterator[Waiting]:
        """Yields the jobs that begin now."""
        while self.lines and len(self.running) < self.load.slots and self._may_start(now_s):
            self.turns.update(self.lines)
            turn = self.turns.next(self.lines)
            line = self.lines[turn.share]
            job = line.popleft()
            if not line:
                del self.lines[turn.share]
            job.turn, job.start_s = turn, now_s
            self.running[job.job_id] = job
            self.starts_s.append(now_s)
            yield job

    def end(self, job: Waiting, now_s: float) -> None:
        """Frees the slot of a job, and measures its run as the database does."""
        del self.running[job.job_id]
        assert job.turn is not None
        self.turns.ended(job.turn, now_s - job.start_s)
        jobs, rate = self.rates.get(job.variant, (0, 0.0))
        measured = (now_s - job.start_s) / (job.duration_ms / 1000)
        self.rates[job.variant] = jobs + 1, rate + (measured - rate) / min(10, jobs + 1)

    def next_start_s(self, now_s: float) -> float | None:
        """Returns when the limit of starts a minute allows the next one; None if it does not delay any."""
        return None if not self.lines or self._may_start(now_s) else self.starts_s[0] + 60.0

    def _may_start(self, now_s: float) -> bool:
        while self.starts_s and self.starts_s[0] <= now_s - 60.0:
            self.starts_s.popleft()
        return self.load.per_minute is None or len(self.starts_s) < self.load.per_minute

    def _snapshot(self, now_s: float) -> QueueSnapshot:
        lines = sorted(self.lines.items(), key=lambda line: line[1][0].submit_s)
        return QueueSnapshot(
            BEGIN + timedelta(seconds=now_s),
            self.load.slots,
            [
                WaitingLine(
                    share,
                    [job.job_id for job in line],
                    [job.variant for job in line],
                    [job.duration_ms for job in line],
                )
                for share, line in lines
            ],
            [
                RunningJob(job.job_id, job.share, job.variant, job.duration_ms, BEGIN + timedelta(seconds=job.start_s))
                for job in self.running.values()
            ],
            RunRates({variant: rate for variant, (_, rate) in self.rates.items()}),
            self.load.per_minute,
            self._arrivals(now_s),
        )

    def _arrivals(self, now_s: float) -> dict[TenantShare, float]:
        while self.submitted and self.submitted[0][0] < now_s - RECENT_S:
            self.submitted.popleft()
        moments = {(int(at_s), share) for at_s, share in self.submitted}  # a batch counts as one
        return {share: jobs / RECENT_S for share, jobs in Counter(share for _, share in moments).items()}


def arrivals(load: Load, chance: random.Random) -> list[Waiting]:
    """Returns the jobs of a day, in the order of their submission."""
    shares = [TenantShare(f"tenant-{number}", 0, 1 + number % 3) for number in range(12)]
    sizes = [1 / (1 + number) for number in range(12)]
    numbers, found = count(), list[Waiting]()

    def add(share: TenantShare, at_s: float) -> None:
        variant = chance.choices(list(load.seconds_per_second), [3, 2, 1][: len(load.seconds_per_second)])[0]
        duration_ms = chance.choice((2000, 3000, 5000, 10_000))
        run_s = load.seconds_per_second[variant] * duration_ms / 1000 * math.exp(chance.gauss(0, SPREAD))
        found.append(Waiting(f"{next(numbers)}", share, variant, duration_ms, run_s, at_s))

    at_s = 0.0
    most = 2 * load.jobs_a_day / DAY_S
    while (at_s := at_s + chance.expovariate(most)) < DAY_S:
        busy = 0.5 - 0.5 * math.cos(2 * math.pi * at_s / DAY_S)  # nothing at midnight, most at noon
        if chance.random() < busy:
            add(chance.choices(shares, sizes)[0], at_s)
    for _ in range(load.batches):
        share, at_s = chance.choice(shares), chance.uniform(0, DAY_S * 0.8)
        for _ in range(load.batch):
            add(share, at_s)
    return sorted(found, key=lambda job: job.submit_s)


def simulate(load: Load, seed: int = 1) -> list[Waiting]:
    """Returns the jobs of a day that have begun."""
    chance, day, numbers = random.Random(seed), Day(load), count()
    events: list[tuple[float, int, Waiting | None]] = [
        (job.submit_s, next(numbers), job) for job in arrivals(load, chance)
    ]
    begun: list[Waiting] = []
    alarm_s: float | None = None
    while events:
        now_s, _, job = heappop(events)
        if job is None:
            if day.new and now_s >= day.new[0].submit_s + SHOWN_S:
                day.show(now_s)
        elif job.turn is None:
            if not day.new:
                heappush(events, (now_s + SHOWN_S, next(numbers), None))
            day.submit(job)
        else:
            day.end(job, now_s)
        for started in day.start(now_s):
            begun.append(started)
            heappush(events, (now_s + started.run_s, next(numbers), started))
        if (later_s := day.next_start_s(now_s)) is not None and later_s != alarm_s:
            alarm_s = later_s
            heappush(events, (later_s, next(numbers), None))
    return begun


def errors(jobs: list[Waiting]) -> list[float]:
    """Returns the error of each expected wait, as a share of the wait of the job. Short waits are left out."""
    found = []
    for job in jobs:
        wait_s = job.start_s - job.submit_s
        if job.expected_s is not None and wait_s > NOTICED_S:
            found.append(abs(job.expected_s - job.start_s) / wait_s)
    return found


def measure() -> Iterator[Row]:
    """Yields the row of the day: the median error over the jobs of both backends, for three random days."""
    own, vendor = ([error for seed in SEEDS for error in errors(simulate(load, seed))] for load in (OWN, VENDOR))
    median = statistics.median(own + vendor)
    yield Row(
        f"Expected start over a simulated day of mixed load: median error of {len(own + vendor)} jobs that waited",
        f"{median:.0%} (own slots {statistics.median(own):.0%}, a vendor {statistics.median(vendor):.0%})",
        "≤ 25 %",
        median <= 0.25,
    )


if __name__ == "__main__":
    for row in measure():
        print(f"{row.what}: {row.measured}, wanted {row.wanted}")
