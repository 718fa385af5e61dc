"""One attempt at a job, from its beginning to exactly one outcome.

Whatever goes wrong ends in one of: the job has ended and is settled; the job waits for another attempt; nobody knows
what a vendor has done, and the job is RECONCILING; another attempt has taken over and this one has written nothing
more. What it comes to is decided under the lock of the job's row, by what the job is then. A process that dies here
leaves the job to the next attempt.
"""

import asyncio
import logging
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from services.errors import InvalidSpec, Unavailable
from services.orchestrator.attempt.checkpoints import Checkpoints
from services.orchestrator.attempt.generate import Generator
from services.orchestrator.attempt.outcome import decided, trouble
from services.orchestrator.attempt.state import INSIST_S, AttemptState
from services.orchestrator.domain import job as jobs
from services.orchestrator.domain import route
from services.orchestrator.domain.card import assets_of
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.event import Body, JobError, Rerouted, Retrying
from services.orchestrator.domain.fragments import Fragments
from services.orchestrator.domain.job import Job, State, Superseded
from services.orchestrator.domain.paid_call import Call
from services.orchestrator.domain.route import Available
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.backend import Backend
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.disk_space import Room, any_room
from services.orchestrator.ports.job_events import JobEvents
from services.orchestrator.ports.jobs import Decide, Jobs
from services.orchestrator.ports.media import Keep, Probe
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.paid_backend import PaidBackend
from services.orchestrator.ports.paid_calls import PaidCalls
from services.orchestrator.ports.prompt_writer import PromptWriter
from services.orchestrator.ports.signal import Signal

STOP_LOOK_S = 60.0
"""How often a running attempt looks for a stop that it was not told of: seldom, for a worker may have a thousand."""
ANSWER_S = 20.0
"""How long an attempt that must end waits for the answer to a submission under way: else nobody will know it."""
STOP_S = 30.0
"""How long a vendor may take to say whether it stops a task."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AttemptRunner:
    """Runs attempts. Holds no state of its own."""

    jobs: Jobs
    job_events: JobEvents
    paid_calls: PaidCalls
    assets: Assets
    blobs: Blobs
    backends: Mapping[str, Backend]
    catalog: Catalog
    clock: Clock
    probe: Probe
    keep_output: Keep
    meter: Meter
    writer: PromptWriter | None = None
    available: Available = lambda _: True
    """Whether a backend takes work now."""
    room: Room = any_room
    workroot: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))

    async def attempt(self, job_id: str, workflow: str = "") -> float | None:
        """Makes one attempt. Returns the seconds to wait before the next, or None when there is none to make.

        `workflow` is the queue entry that asks; one that the job has left behind makes none.
        """
        seen: list[Job] = []

        def begin(now: Job) -> Body | None:
            seen[:] = [now]
            return jobs.start(now, workflow)

        job = (await self.jobs.record(job_id, begin)).after
        run = AttemptState(self.jobs, self.meter, job, Checkpoints(self.blobs, self.meter, job))
        if job.state.ended:
            await run.checkpoints.discard()
            return None
        if job.attempt == seen[0].attempt:
            if job.state is not seen[0].state:
                log.warning("a submission was under way when its worker was lost")
            return None
        if job.attempt == 1:
            self.meter.started(job, (self.clock.now() - job.create_time).total_seconds())
        card = self.catalog.cards.get(job.spec.model)
        if card is None:
            gone = JobError("MODEL_GONE", f"The model {job.spec.model!r} is no longer in the catalog.", retryable=False)
            return await self._conclude(run, lambda now: jobs.fail(now, gone))
        run.frames = card.frames(job.spec)
        if job.attempt > 1:
            run.fragments = Fragments.of(await self.job_events.fragments(job_id))
        if job.call is Call.ACCEPTED and (call := await self.paid_calls.of_job(job)) is not None:
            run.external_ref = call.external_ref or ""
        if job.call is Call.ACCEPTED and not run.external_ref:
            gone = JobError("TASK_GONE", "The vendor gave back what it was paid for this job.", retryable=True)
            return await self._conclude(run, lambda now: jobs.fail(now, gone))
        if job.state is State.CANCELLING:  # asked of a worker that was lost
            await self._stop_at_vendor(run)
            return await self._conclude(run, lambda now: jobs.stopped(now, run.partial_charge()))
        async with self.job_events.stops(job_id) as signal:
            work = asyncio.create_task(self._generator().make(run), name=f"make-{job_id}")
            stop = asyncio.create_task(self._stopped(job, signal), name=f"stop-{job_id}")
            try:
                left_s = (job.expire_time - self.clock.now()).total_seconds()
                await asyncio.wait({work, stop}, timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    await _answered(run)
                    work.cancel()
                    await asyncio.wait({work})
                outcome = decided(run, work, stop, self.clock)
            finally:
                await _answered(run)
                for task in (work, stop):
                    task.cancel()
                await asyncio.wait({work, stop})
        if outcome is not None and not work.cancelled() and (why := trouble(work)) is not None:
            outcome = await self._elsewhere(run, why, outcome)
        if work.cancelled() and outcome is not None and stop.done() and not stop.cancelled():
            await self._stop_at_vendor(run)
        return await self._conclude(run, outcome)

    async def forget(self, job: Job) -> None:
        """Removes what attempts left of a job that was ended elsewhere. Fails nothing."""
        await Checkpoints(self.blobs, self.meter, job).discard()

    async def _elsewhere(self, run: AttemptState, why: JobError, otherwise: Decide) -> Decide:
        """What a vendor's own trouble comes to where a capability was asked for: another model, if there is one left.

        Only if it is certain, when the end is decided, that nothing was charged. `otherwise` decides else.
        """
        job = run.job
        if job.spec.capability is None or why.reason not in route.PASSES_ON:
            return otherwise
        roles = assets_of(job.spec).items()
        assets = {role: await self.assets.get(each, tenant=job.tenant, user=job.user) for role, each in roles}
        untried = [card for card in self.catalog if card.id not in (*job.tried, job.spec.model)]
        most = job.quote_micros - self.catalog.allowance(job.spec)
        try:
            asked = replace(job.spec, price_most_micros=most)
            able = route.candidates(untried, asked, assets, self.clock.now().date(), self.available)
        except InvalidSpec:
            return otherwise
        card = able[0]
        price = route.price_of(card, job.spec, assets)

        def decide(now: Job) -> Body | None:
            if now.state is not State.RUNNING or now.call is not Call.NONE or now.resumes:
                return otherwise(now)
            return Rerouted(card.id, card.backend, price, now.spec.model, why)

        return decide

    def _generator(self) -> Generator:
        return Generator(
            job_events=self.job_events,
            assets=self.assets,
            blobs=self.blobs,
            backends=self.backends,
            catalog=self.catalog,
            clock=self.clock,
            probe=self.probe,
            keep_output=self.keep_output,
            writer=self.writer,
            meter=self.meter,
            workroot=self.workroot,
            room=self.room,
        )

    async def _stop_at_vendor(self, run: AttemptState) -> None:
        """Asks the vendor to stop what it is paid for. What cannot be asked, or stopped, costs what it costs."""
        card = self.catalog.card(run.job.spec.model)
        backend = self.backends.get(card.backend)
        if not run.external_ref or card.remote is None or not isinstance(backend, PaidBackend):
            return
        try:
            async with asyncio.timeout(STOP_S):
                if await backend.stop(run.external_ref, card.remote.model):
                    await self._generator().release(run, "CANCELLED")
        except Superseded:
            return  # whoever has the job concludes it
        except (Unavailable, TimeoutError):
            log.warning("the vendor could not be asked to stop; the task is paid for")

    async def _conclude(self, run: AttemptState, outcome: Decide | None) -> float | None:
        job = run.job
        if outcome is None:
            log.info("another attempt has the job; this one leaves")
            await self._leave(run)
            return None
        taken: list[Body] = []

        def decide(now: Job) -> Body | None:
            jobs.guard(now, job.attempt)
            body = outcome(now)
            if isinstance(body, Retrying) and now.state is State.CANCELLING:
                body = jobs.stopped(now, run.partial_charge())
            if isinstance(body, Retrying) and now.call is Call.NONE and self._is_remote(job):
                # The slots are the vendor's account's, which does nothing for this job; and what comes next pays anew.
                body = replace(body, requeued=True)
            taken[:] = [] if body is None else [body]
            return body

        try:
            after = await self._insist(run, decide)
        except Superseded:
            await self._leave(run)
            return None
        if after.state.ended:
            await run.checkpoints.discard()
            self.meter.ended(after)
            if after.call is Call.CHARGED:
                self.meter.paid_call(self.catalog.card(job.spec.model).backend, "charged")
            log.info("job ended", extra={"state": after.state.value, "charged_micros": after.charged_micros})
            return None
        if after.state is State.RECONCILING:
            self.meter.paid_call(self.catalog.card(job.spec.model).backend, "lost")
            log.error("nobody knows what the vendor has done; the job is being reconciled")
            return None
        if isinstance(taken[0], Rerouted):
            log.warning("another model is asked", extra={"model": taken[0].model, "reason": taken[0].error.reason})
            return None  # its own queue entry makes the next attempt
        (waits,) = taken
        assert isinstance(waits, Retrying)
        log.warning("job waits for another attempt", extra={"reason": waits.error.reason})
        if waits.requeued:
            return None
        return max(0.0, (waits.retry_time - self.clock.now()).total_seconds())

    def _is_remote(self, job: Job) -> bool:
        card = self.catalog.cards.get(job.spec.model)
        return card is not None and card.remote is not None

    async def _leave(self, run: AttemptState) -> None:
        """Leaves a job that is another's, or has ended: then what this attempt still stored is nobody's."""
        with suppress(Unavailable):  # to begin anew for that would take the job from whoever has it
            if (await self.jobs.get(run.job.id)).state.ended:
                await run.checkpoints.discard()

    async def _insist(self, run: AttemptState, decide: Decide) -> Job:
        """Records the end, again and again while the database is away: what was made shall not be made anew for that.

        If an answer was lost and the end is there already, it is another's, or our own: either way it stands.
        """
        while True:
            try:
                return (await self.jobs.record(run.job.id, decide, assets=run.output)).after
            except Unavailable:
                if self.clock.now() > run.job.expire_time:
                    raise
                log.warning("the end cannot be recorded yet")
                await asyncio.sleep(INSIST_S)

    async def _stopped(self, job: Job, signal: Signal) -> State:
        """Returns once the job is CANCELLING, or no longer this attempt's (any other state)."""
        while True:
            await signal.wait(STOP_LOOK_S)
            try:
                now = await self.jobs.get(job.id)
            except Exception as error:
                # No traceback where the database is away: a thousand jobs may say so each second.
                traced = not isinstance(error, Unavailable)
                log.warning("the check for a stop failed; the work continues", exc_info=traced)
                await asyncio.sleep(INSIST_S)
                continue
            if now.attempt != job.attempt or now.state not in (State.RUNNING, State.CANCELLING):
                return State.QUEUED if not now.state.ended else now.state
            if now.state is State.CANCELLING:
                return State.CANCELLING


async def _answered(run: AttemptState) -> None:
    """Waits for the answer to a submission under way, for a while."""
    if run.submitting:
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                await run.answered.wait()
