"""The state of an attempt: what it has made by now, and how it tells of it while it lasts.

What it tells is held against the job's current attempt, under the lock of the job's row: a superseded one tells nothing
more. Its end is not told here but in runner.py.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from services.errors import PreconditionFailed, Unavailable
from services.orchestrator.attempt.checkpoints import Checkpoints
from services.orchestrator.domain import job as jobs
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.event import (
    Accepted,
    Body,
    Continued,
    FragmentReady,
    Paid,
    Progressed,
    Released,
    Submitting,
)
from services.orchestrator.domain.fragments import Fragments
from services.orchestrator.domain.job import Job, State, Superseded
from services.orchestrator.domain.paid_call import Acceptance, Call, Step
from services.orchestrator.domain.price import partial_charge
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.meter import Meter

INSIST_S = 1.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class AttemptState:
    """One attempt under way."""

    jobs: Jobs
    meter: Meter
    job: Job
    """As the attempt began."""
    checkpoints: Checkpoints
    fragments: Fragments = field(default_factory=Fragments)
    """Those of the earlier attempts too."""
    frames: int = 0
    """Of the whole video; 0 where a vendor decides."""
    made: int = 0
    """Fragments that this attempt has made, told or not."""
    progress: float = 0.0
    external_ref: str = ""
    """The vendor's name of the task, once it has it."""
    output: tuple[Asset, ...] = ()
    """The whole video after it is stored; the event that names it records its asset."""
    submitting: bool = False
    """A task is being handed over, and its answer has not come."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    def partial_charge(self) -> int:
        """Returns what the frames cost that were made by now."""
        return partial_charge(self.job.quote_micros, self.fragments.frames, self.frames)

    async def tell(self, body: Body, *assets: Asset) -> Job:
        """Tells what happened, with the assets that it names; returns the job after it. Raises Superseded."""

        def decide(now: Job) -> Body:
            jobs.guard(now, self.job.attempt)
            return body

        return (await self.jobs.record(self.job.id, decide, assets=assets)).after

    async def record(self, body: Progressed | Continued | FragmentReady, *assets: Asset) -> None:
        """Tells how far the work is. Raises Superseded."""
        await self.tell(body, *assets)
        self.progress = max(self.progress, body.progress)

    async def journal(self, body: Paid, step: Step | None = None) -> None:
        """Journals a step of the paid call, and retries while the database is away.

        Raises Superseded, and PreconditionFailed (REFERENCE_TAKEN) if the vendor's task belongs to another job.

        What another has made of the job meanwhile does not matter to an answer: the money went, or did not.
        """

        stopping: list[bool] = []

        def decide(now: Job) -> Body | None:
            if now.attempt != self.job.attempt or now.state.ended:
                raise Superseded(f"{now!r} is not in attempt {self.job.attempt} any more")
            match body:
                case Submitting():
                    jobs.guard(now, self.job.attempt)
                    stopping[:] = [now.state is State.CANCELLING]
                    if stopping[0]:
                        return None
                    return None if now.call is Call.SUBMITTING else body  # an earlier try has committed
                case Accepted():
                    return None if now.call is Call.ACCEPTED else body
                case Released():
                    return body if now.call.live else None

        while True:
            try:
                await self.jobs.record(self.job.id, decide, step=step)
            except Unavailable:
                log.warning("a step of a paid call cannot be journalled yet")
                await asyncio.sleep(INSIST_S)
            except PreconditionFailed as refused:
                if refused.reason == jobs.TAKEN.reason:
                    ref = step.external_ref if isinstance(step, Acceptance) else ""
                    found = {"provider": body.provider, "external_ref": ref, "other": refused.metadata.get("job", "")}
                    log.error("the vendor answered with a task that another job has", extra=found)
                    self.meter.paid_call(body.provider, "taken")
                raise
            else:
                if stopping == [True]:
                    # The stop is on its way here, and ends this attempt: nothing is handed over before it comes.
                    await asyncio.get_running_loop().create_future()
                self.meter.paid_call(body.provider, type(body).__name__.lower())
                return
