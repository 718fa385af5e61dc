"""Records the events of a running attempt.

Each event is recorded only while the attempt is the job's current one, which is checked under the lock of the job's
row. A superseded attempt records nothing more. The event that ends an attempt is recorded by final_event_recorder.py.
"""

from dataclasses import dataclass

from services.orchestrator.attempt.state import AttemptState
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.attempt_guard import guard
from services.orchestrator.domain.event import Body, Continued, FragmentReady, Progressed, PromptWritten, Warned
from services.orchestrator.domain.job import Job
from services.orchestrator.ports.jobs import Jobs


@dataclass(frozen=True, slots=True)
class EventRecorder:
    """Records events, except those of paid calls."""

    jobs: Jobs

    async def record(
        self, state: AttemptState, body: Progressed | Continued | FragmentReady | PromptWritten | Warned, *assets: Asset
    ) -> Job:
        """Records an event and the assets that it names. Returns the job after it.

        Raises Superseded, Unavailable.
        """

        def decide(job: Job) -> Body:
            guard(job, state.job.attempt)
            return body

        recorded = await self.jobs.record(state.job.id, decide, assets=assets)
        if isinstance(body, Progressed | Continued | FragmentReady):
            state.progress = max(state.progress, body.progress)
        return recorded.after
