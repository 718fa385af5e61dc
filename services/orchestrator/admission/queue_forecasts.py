"""The forecasts of the queues: each is computed once for all who ask in this process, and not too often."""

import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.errors import Unavailable
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.queue_forecast import Expectation, Forecast, QueueSnapshot, forecast
from services.orchestrator.domain.run_rates import variant
from services.orchestrator.domain.spec import Spec
from services.orchestrator.domain.turns import TenantShare
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.queues import Queues

PAUSE_S = 0.1
"""Seconds between two forecasts of a queue, at least."""
SHARE = 0.02
"""Share of the time that may go into the forecasts of a queue: those of a long queue are made less often."""
RECENT_S = 30.0
"""Age of a forecast, in seconds, up to which an admission does not wait for a newer one."""
RENEWED = 4.0
"""After so many times the pause between two forecasts an admission begins the next one."""
RENEWED_SHARE = 2 / 3
"""Share of the time in which a forecast is recent, after which an admission begins the next one in any case. So none
has to wait for the forecast of a long queue while jobs arrive.
"""
LONG = 500
"""Waiting jobs from which on a forecast is computed in a thread."""
TURN_S = 0.0005
"""Seconds after which the thread lets other ones run. A call waits for the thread several times, each time that it has
waited for something else; Python's own 5 ms make that 25 ms.
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    forecast: Forecast
    time_s: float
    """When it was begun, by the clock of the event loop."""
    pause_s: float

    def younger(self, age_s: float) -> bool:
        """Whether it was begun less than so many seconds ago."""
        return asyncio.get_running_loop().time() < self.time_s + age_s


class QueueForecasts:
    """The forecasts of one process. Without callers nothing runs."""

    def __init__(
        self,
        queues: Queues,
        meter: Meter,
        *,
        pause_s: float = PAUSE_S,
        share: float = SHARE,
        recent_s: float = RECENT_S,
    ) -> None:
        """`pause_s` is the least time between two forecasts of a queue, `share` the most of the time for them.

        An admission does not wait for a newer forecast than one that is `recent_s` old.
        """
        self._queues = queues
        self._meter = meter
        self._pause_s = pause_s
        self._share = share
        self._recent_s = recent_s
        self._known: dict[str, _Known] = {}
        self._computing: dict[str, asyncio.Task[Forecast]] = {}
        self._threads = 0
        self._interval_s = 0.0
        """Of the switches between threads, while none computes a forecast."""

    async def expected(self, job_ids: Sequence[str]) -> Mapping[str, Expectation]:
        """Returns what is expected of jobs; those that neither wait nor run are left out. Raises Unavailable."""
        backends = await self._queues.backends(job_ids)
        forecasts = {name: await self.fresh(name) for name in set(backends.values())}
        found = {job_id: forecasts[backend].of(job_id) for job_id, backend in backends.items()}
        return {job_id: each for job_id, each in found.items() if each is not None}

    async def of_new(self, caller: Caller, spec: Spec, backend: str) -> Expectation:
        """Returns what is expected of a job with a completed spec that is admitted now. Raises Unavailable."""
        found = await self.recent(backend)
        return found.of_new(TenantShare.of(caller.tenant, caller.plan), variant(spec), spec.duration_ms or 0)

    async def wait_s(self, backend: str) -> float | None:
        """Returns how long a job of a tenant that has none waiting would wait; None: not known. Raises Unavailable."""
        return (await self.fresh(backend)).wait_s

    async def fresh(self, backend: str) -> Forecast:
        """Returns the forecast of a queue as it is now, or was a moment ago. Raises Unavailable."""
        known = self._known.get(backend)
        if known is not None and known.younger(known.pause_s):
            return known.forecast
        return await asyncio.shield(self._compute(backend))

    async def recent(self, backend: str) -> Forecast:
        """Returns the forecast of a queue, some seconds old, without a wait if there is one. Raises Unavailable."""
        known = self._known.get(backend)
        if known is None or not known.younger(self._recent_s):
            return await self.fresh(backend)
        if not known.younger(min(RENEWED * known.pause_s, RENEWED_SHARE * self._recent_s)):
            self._compute(backend)
        return known.forecast

    def _compute(self, backend: str) -> asyncio.Task[Forecast]:
        """Returns the task that makes the next forecast."""
        if (task := self._computing.get(backend)) is None:
            task = self._computing[backend] = asyncio.create_task(self._new(backend), name=f"forecast-{backend}")
            task.add_done_callback(lambda done: self._done(backend, done))
        return task

    def _done(self, backend: str, task: "asyncio.Task[Forecast]") -> None:
        del self._computing[backend]
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Unavailable):
            log.error("the forecast of a queue failed", exc_info=error, extra={"backend": backend})

    async def _new(self, backend: str) -> Forecast:
        now = asyncio.get_running_loop().time
        begin_s = now()
        found = await self._forecast(await self._queues.snapshot(backend))
        self._known[backend] = _Known(found, begin_s, max(self._pause_s, (now() - begin_s) / self._share))
        if (wait_s := found.wait_s) is not None:
            self._meter.expected_wait(backend, wait_s)
        return found

    async def _forecast(self, snapshot: QueueSnapshot) -> Forecast:
        if sum(len(line.job_ids) for line in snapshot.waiting) <= LONG:
            return forecast(snapshot)
        if not self._threads:
            self._interval_s = sys.getswitchinterval()
            sys.setswitchinterval(min(self._interval_s, TURN_S))
        self._threads += 1
        try:
            return await asyncio.to_thread(forecast, snapshot)
        finally:
            self._threads -= 1
            if not self._threads:
                sys.setswitchinterval(self._interval_s)
