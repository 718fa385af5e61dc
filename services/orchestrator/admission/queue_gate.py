"""The gate before the queues: refuses a job early if too many jobs wait, or if it cannot be made in its time."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from services.errors import LimitReached, PreconditionFailed, Unavailable
from services.orchestrator.admission.queue_forecasts import QueueForecasts
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.queue_forecast import Expectation
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.queues import Queues
from services.reasons import RequestReason

RENEWED_S = 1.0
"""Age of a count of the waiting jobs, in seconds, from which it is renewed."""
USED_S = 3.0
"""Age up to which it is used meanwhile. Jobs that this process admits are added."""
RETRY_LEAST_S, RETRY_MOST_S = 1.0, 60.0
"""Seconds after which a refused caller may try again."""
OPTIMISM = 0.5
"""Share of the expected time that a job may need if all goes well: only a deadline before that is unreachable."""

log = logging.getLogger(__name__)


class QueueGate:
    """The limits of the queues' lengths, and of the jobs' deadlines. One a process."""

    def __init__(
        self,
        queues: Queues,
        forecasts: QueueForecasts,
        meter: Meter,
        *,
        most_of_backend: int,
        most_of_all: int,
        renewed_s: float = RENEWED_S,
    ) -> None:
        """`most_of_backend` and `most_of_all` are the most jobs that may wait.

        A count of them that is `renewed_s` old is renewed.
        """
        self._queues = queues
        self._forecasts = forecasts
        self._meter = meter
        self._most_of_backend = most_of_backend
        self._most_of_all = most_of_all
        self._renewed_s = renewed_s
        self._lengths: Counter[str] = Counter()
        self._meanwhile: Counter[str] = Counter()
        """Jobs admitted since the last count began."""
        self._counted_s = -math.inf
        """When the last count began, by the clock of the event loop."""
        self._counting: asyncio.Task[None] | None = None

    async def check(self, job: Job, caller: Caller, backend: str, ahead: Mapping[str, int] | None = None) -> None:
        """Checks a job that is about to be admitted.

        `ahead` has the jobs, by backend, that are admitted together with it and come before it.

        Raises:
            LimitReached: too many jobs wait; says how long this one would.
            PreconditionFailed: it cannot begin or end in time; says when it would.
            Unavailable: the database cannot be reached.
        """
        lengths = await self.waiting()
        if ahead:
            lengths = lengths + Counter(ahead)
        for name, length, most in (
            (f"the workers of {job.spec.model}", lengths[backend], self._most_of_backend),
            ("all workers", lengths.total(), self._most_of_all),
        ):
            if length >= most:
                await self._refuse(job, caller, backend, name, most)
        expected = await self._forecasts.of_new(caller, job.spec, backend)
        if (message := _unreachable(job, expected)) is not None:
            self._meter.queue_refused(backend, RequestReason.DEADLINE_UNREACHABLE)
            raise PreconditionFailed(
                message,
                reason=RequestReason.DEADLINE_UNREACHABLE,
                metadata=_times(expected) | {"expire_time": job.expire_time.isoformat()},
            )

    def admitted(self, backend: str) -> None:
        """Counts a job that was admitted."""
        self._lengths[backend] += 1
        self._meanwhile[backend] += 1

    async def _refuse(self, job: Job, caller: Caller, backend: str, whose: str, most: int) -> None:
        expected = await self._forecasts.of_new(caller, job.spec, backend)
        room_s = (await self._forecasts.recent(backend)).room_s(most)
        metadata = dict[str, str]()
        message = f"{most:,} jobs or more wait for {whose}. Try again later; nothing was charged."
        if expected.start_time is not None:
            wait_s = max(0.0, (expected.start_time - job.create_time).total_seconds())
            metadata["expected_wait_s"] = f"{wait_s:.0f}"
            message += f" A job would start in {_span(wait_s)}."
        self._meter.queue_refused(backend, RequestReason.QUEUE_LIMIT_REACHED)
        raise LimitReached(
            message,
            limit=most,
            reason=RequestReason.QUEUE_LIMIT_REACHED,
            retry_after_s=min(RETRY_MOST_S, max(RETRY_LEAST_S, room_s or 0.0)),
            metadata=metadata | _times(expected),
        )

    async def waiting(self) -> "Counter[str]":
        """Returns the number of waiting jobs by backend: counted some seconds ago, and those admitted since.

        Only if the last count is old, it waits for the next one. Raises Unavailable.
        """
        age_s = asyncio.get_running_loop().time() - self._counted_s
        if age_s >= self._renewed_s:
            if self._counting is None:
                self._counting = asyncio.create_task(self._count(), name="queue-lengths")
                self._counting.add_done_callback(self._done)
            if age_s >= USED_S:
                await asyncio.shield(self._counting)
        return self._lengths

    async def _count(self) -> None:
        begin_s = asyncio.get_running_loop().time()
        self._meanwhile = Counter()
        counted = Counter(await self._queues.lengths())
        # Perhaps the count has some of them already: the next one corrects that.
        self._lengths = counted + self._meanwhile
        self._counted_s = begin_s

    def _done(self, counting: "asyncio.Task[None]") -> None:
        self._counting = None
        error = None if counting.cancelled() else counting.exception()
        if error is not None and not isinstance(error, Unavailable):
            log.error("the waiting jobs could not be counted", exc_info=error)


def _unreachable(job: Job, expected: Expectation) -> str | None:
    """Returns why a job cannot begin or end in time even if all goes well; None if it can, or nothing is known."""
    if expected.start_time is None:
        return None
    start_time = _optimistic(job.create_time, expected.start_time)
    if job.start_by is not None and start_time > job.start_by:
        return f"The job is expected to start at {_clock(expected.start_time)}, after its start timeout." + ADVICE
    if expected.end_time is not None and _optimistic(job.create_time, expected.end_time) > job.expire_time:
        return f"The job is expected to end at {_clock(expected.end_time)}, after its timeout." + ADVICE
    return None


ADVICE = " Give it more time, or submit it later; nothing was charged."


def _optimistic(now: datetime, expected: datetime) -> datetime:
    return now + max(timedelta(), expected - now) * OPTIMISM


def _times(expected: Expectation) -> dict[str, str]:
    times = {"expected_start_time": expected.start_time, "expected_end_time": expected.end_time}
    return {name: time.isoformat(timespec="seconds") for name, time in times.items() if time is not None}


def _clock(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} minutes"
