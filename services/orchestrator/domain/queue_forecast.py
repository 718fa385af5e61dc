"""The forecast of one backend's queue: the order in which its jobs begin, and when each is expected to begin and end.

It takes turns as workers do (`domain/turns.py`) with what is known now, and assumes that each tenant goes on to submit
jobs as often as in the last minutes: those take turns too, and so delay the jobs that wait now.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush, heapreplace
from statistics import fmean

from services.orchestrator.domain.run_rates import RunRates
from services.orchestrator.domain.turns import FIRST_S, PASSED_MOST, PriorityOrder, TenantShare

SAMPLE = 50
"""Waiting jobs of each tenant from which the mean run is computed."""
ANY = float("-inf")
GOLDEN = (5**0.5 - 1) / 2
NONE: Iterator[tuple[str, float | None]] = iter(())
LATER_MOST = 20_000
"""Later jobs that a forecast assumes, at most."""
OVERDUE_SHARE = 0.1
"""Share of its expected run that a job which runs longer than expected is assumed to need yet."""


@dataclass(frozen=True, slots=True)
class WaitingLine:
    """The waiting jobs of one tenant, in the order in which they begin. The three sequences are parallel."""

    share: TenantShare
    job_ids: Sequence[str]
    variants: Sequence[str]
    durations_ms: Sequence[int]


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that has a slot."""

    job_id: str
    share: TenantShare
    variant: str
    duration_ms: int
    begin_time: datetime


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """A backend's queue at one moment."""

    time: datetime
    slots: int
    """Jobs at a time, of all workers."""
    waiting: Sequence[WaitingLine] = ()
    """The tenant whose first job waits longest first."""
    running: Sequence[RunningJob] = ()
    rates: RunRates = field(default_factory=RunRates)
    per_minute: int | None = None
    """Jobs that may begin in any minute; None: any number."""
    arrivals: Mapping[TenantShare, float] = field(default_factory=dict)
    """Jobs that each tenant has submitted a second, in the last minutes."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of a job."""

    place: int
    """From 1 in the order in which jobs begin; 0: it has a slot."""
    start_time: datetime | None
    """None if it has begun, or if nothing is known about the time."""
    end_time: datetime | None


@dataclass(frozen=True, slots=True)
class _Span:
    place: int
    start_s: float | None
    end_s: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of the jobs of one backend. Times are in seconds after `time`; None: not known."""

    time: datetime
    rates: RunRates
    jobs: Mapping[str, _Span]
    length: int
    """Number of waiting jobs."""
    starts_s: Sequence[float]
    """When each waiting job is expected to begin, in order; empty: not known."""
    tails: Mapping[TenantShare, _Span]
    """The next new job of each tenant that has jobs waiting."""
    openings: Mapping[float, _Span]
    """When a job of a tenant that has none waiting can begin, by its least priority for this."""

    def of(self, job_id: str) -> Expectation | None:
        """Returns what is expected of a job; None if it did not wait or run when the forecast was made."""
        span = self.jobs.get(job_id)
        return None if span is None else self._expectation(span)

    def of_new(self, share: TenantShare, kind: str, duration_ms: int) -> Expectation:
        """Returns what is expected of a job of a tenant that is admitted now."""
        span = self.tails.get(share)
        if span is None:
            open_to = (each for least, each in self.openings.items() if share.priority >= least)
            span = min(open_to, key=lambda each: each.place)
        run_s = self.rates.run_s(kind, duration_ms)
        end_s = None if span.start_s is None or run_s is None else span.start_s + run_s
        return self._expectation(_Span(span.place, span.start_s, end_s))

    @property
    def wait_s(self) -> float | None:
        """After how many seconds the first job of a tenant with a high priority is expected to begin."""
        return min(self.openings.values(), key=lambda each: each.place).start_s

    def room_s(self, most: int) -> float | None:
        """Returns after how many seconds fewer than `most` jobs are expected to wait; None: not known."""
        excess = self.length - most
        return self.starts_s[excess] if 0 <= excess < len(self.starts_s) else None

    def _expectation(self, span: _Span) -> Expectation:
        return Expectation(span.place, self._at(span.start_s), self._at(span.end_s))

    def _at(self, seconds: float | None) -> datetime | None:
        return None if seconds is None else self.time + timedelta(seconds=seconds)


def forecast(snapshot: QueueSnapshot) -> Forecast:
    """Returns the forecast. It takes some tens of milliseconds for ten thousand waiting jobs."""
    return _Simulation(snapshot).run()


class _Simulation:
    """The queue from now until all that wait have begun."""

    def __init__(self, snapshot: QueueSnapshot) -> None:
        self._snapshot = snapshot
        self._spans: dict[str, _Span] = {}
        self._free = _free_slots(snapshot, self._spans)
        self._known = bool(self._free and snapshot.rates.measured)
        self._left = {line.share: _jobs_of(line, snapshot.rates) for line in snapshot.waiting}
        self._length = 0
        self._starts_s: list[float] = []
        """Of the waiting jobs."""
        self._begun_s = sorted((job.begin_time - snapshot.time).total_seconds() for job in snapshot.running)
        """Of those, of the running and of later ones, in order."""
        self._priorities = PriorityOrder()
        self._turns = _first_turns(snapshot)
        """By priority, a heap of the tenants that wait: less virtual time first, then who has fewer slots now."""
        self._waiting = set(self._left)
        """The tenants in it."""
        self._later: Counter[TenantShare] = Counter()
        """Jobs that tenants have submitted since, and that wait."""
        self._later_s = _mean_run_s(snapshot)
        arrivals = snapshot.arrivals.items() if self._known else ()
        self._arrivals = [(_phase(number) / rate, number, share) for number, (share, rate) in enumerate(arrivals)]
        heapify(self._arrivals)
        self._arrived = 0

    def run(self) -> Forecast:
        """Returns the forecast."""
        tails: dict[TenantShare, _Span] = {}
        openings: dict[float, _Span] = {}
        turns, priority = 0, None
        while len(tails) < len(self._left):
            start_s = self._start_s()
            self._arrive(start_s)
            if priority is None or not self._turns[priority]:
                priority = self._priorities.next([each for each, heap in self._turns.items() if heap])
            heap = self._turns[priority]
            time_s, used, index, share = heap[0]
            new = _Span(self._length + 1, start_s, None)
            openings.setdefault(priority, new)
            if (job := next(self._left.get(share, NONE), None)) is not None:
                cost_s = self._begin(*job, new)
            elif share in self._left and share not in tails:
                tails[share] = new
                continue
            elif self._later[share]:
                self._later[share] -= 1
                cost_s = self._later_s
                self._take_slot(start_s, cost_s)
            else:
                heappop(heap)
                self._waiting.remove(share)
                continue
            heapreplace(heap, (time_s + cost_s / share.weight, used, index, share))
            turns, priority = turns + 1, None
            if turns == PASSED_MOST:
                openings[ANY] = _Span(self._length + 1, self._start_s(), None)
        openings.setdefault(ANY, _Span(self._length + 1, self._start_s(), None))
        snapshot = self._snapshot
        return Forecast(snapshot.time, snapshot.rates, self._spans, self._length, self._starts_s, tails, openings)

    def _begin(self, job_id: str, run_s: float | None, new: _Span) -> float:
        """Starts a waiting job, and returns its cost in seconds."""
        self._length += 1
        if new.start_s is None or run_s is None:
            self._spans[job_id] = new
            return FIRST_S if run_s is None else run_s
        self._spans[job_id] = _Span(new.place, new.start_s, new.start_s + run_s)
        self._starts_s.append(new.start_s)
        self._take_slot(new.start_s, run_s)
        return run_s

    def _take_slot(self, start_s: float | None, run_s: float) -> None:
        if start_s is not None:
            self._begun_s.append(start_s)
            heapreplace(self._free, start_s + run_s)

    def _start_s(self) -> float | None:
        """Returns when the next job begins: when a slot is free and the jobs of the last minute allow it."""
        if not self._known:
            return None
        per_minute = self._snapshot.per_minute
        if per_minute is None or len(self._begun_s) < per_minute:
            return self._free[0]
        return max(self._free[0], self._begun_s[-per_minute] + 60.0)

    def _arrive(self, now_s: float | None) -> None:
        """Adds the jobs that are submitted until then."""
        while self._arrivals and now_s is not None and self._arrivals[0][0] <= now_s and self._arrived < LATER_MOST:
            time_s, number, share = self._arrivals[0]
            heapreplace(self._arrivals, (time_s + 1 / self._snapshot.arrivals[share], number, share))
            self._arrived += 1
            self._later[share] += 1
            if share not in self._waiting:
                self._waiting.add(share)
                heap = self._turns.setdefault(share.priority, [])
                first_s = heap[0][0] if heap else 0.0  # it is not behind those that waited before it
                heappush(heap, (first_s, 0.0, self._arrived + len(self._left), share))


def _phase(number: int) -> float:
    """Returns the time of a tenant's first arrival, as a share of the time between two: spread evenly over tenants."""
    return (0.5 + number * GOLDEN) % 1


def _jobs_of(line: WaitingLine, rates: RunRates) -> Iterator[tuple[str, float | None]]:
    return zip(line.job_ids, map(rates.run_s, line.variants, line.durations_ms), strict=True)


def _mean_run_s(snapshot: QueueSnapshot) -> float:
    """Returns how long a job runs: the mean of those that wait. Long jobs are too frequent among those that run."""
    rates = snapshot.rates
    runs = [
        rates.run_s(variant, duration_ms)
        for line in snapshot.waiting
        for variant, duration_ms in zip(line.variants[:SAMPLE], line.durations_ms[:SAMPLE], strict=True)
    ]
    known = [run_s for run_s in runs if run_s is not None]
    return fmean(known) if known else FIRST_S


def _first_turns(snapshot: QueueSnapshot) -> dict[int, list[tuple[float, float, int, TenantShare]]]:
    used: dict[TenantShare, float] = {}
    for job in snapshot.running:
        used[job.share] = used.get(job.share, 0.0) + 1 / job.share.weight
    turns: dict[int, list[tuple[float, float, int, TenantShare]]] = {}
    for index, line in enumerate(snapshot.waiting):
        heap = turns.setdefault(line.share.priority, [])
        heappush(heap, (0.0, used.get(line.share, 0.0), index, line.share))
    return turns


def _free_slots(snapshot: QueueSnapshot, jobs: dict[str, _Span]) -> list[float]:
    """Returns a heap of the times at which each slot is free, and adds the running jobs to `jobs`."""
    free: list[float] = []
    for job in snapshot.running:
        run_s = snapshot.rates.run_s(job.variant, job.duration_ms)
        left_s = None
        if run_s is not None:
            left_s = max(run_s - (snapshot.time - job.begin_time).total_seconds(), run_s * OVERDUE_SHARE)
            free.append(left_s)
        jobs[job.job_id] = _Span(0, None, left_s)
    free += [0.0] * (snapshot.slots - len(snapshot.running))
    heapify(free)
    for _ in range(len(free) - max(snapshot.slots, 0)):  # a limit was lowered while more jobs ran
        heappop(free)
    return free
