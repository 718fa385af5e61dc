"""Waits until a running attempt must stop."""

import asyncio
import logging

from services.errors import Unavailable
from services.orchestrator.attempt.outcome import Stopped
from services.orchestrator.attempt.result import TakenOver
from services.orchestrator.domain.job import Job, State
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.signal import Signal

STOP_CHECK_S = 60.0
"""Seconds between checks without a notification: rare, because a worker may have a thousand attempts."""
RETRY_S = 1.0
"""Seconds between checks while the database is away."""

log = logging.getLogger(__name__)


async def stop_request(jobs: Jobs, job: Job, signal: Signal) -> Stopped | TakenOver:
    """Returns once the job is asked to stop, or is no longer in the attempt that `job` shows."""
    while True:
        await signal.wait(STOP_CHECK_S)
        try:
            current = await jobs.get(job.id)
        except Exception as error:
            # Without a traceback if the database is away: a thousand attempts may log this each second.
            traced = not isinstance(error, Unavailable)
            log.warning("the check for a stop failed; the work continues", exc_info=traced)
            await asyncio.sleep(RETRY_S)
            continue
        if current.attempt != job.attempt or current.state not in (State.RUNNING, State.CANCELLING):
            return TakenOver()
        if current.state is State.CANCELLING:
            return Stopped()
