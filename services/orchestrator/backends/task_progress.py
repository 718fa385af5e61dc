"""The progress of a task at a provider, as stages of the job."""

from dataclasses import dataclass

from i2v.provider.v1 import provider_pb2

from services.orchestrator.ports.backend import Stage

SHARES = {"vendor-queue": (0.01, 0.0), "vendor-work": (0.02, 0.88), "download": (0.9, 0.1)}
"""Where a stage of a task begins in the whole job, and its share."""


@dataclass(slots=True)
class TaskProgress:
    """The last reported progress of a task, so that only changes are reported."""

    stage: str = ""
    share: float = 0.0

    def change(self, reported: provider_pb2.Progress) -> Stage | None:
        """Returns the stage to report; None if little has changed."""
        begin, share = SHARES.get(reported.stage, (0.02, 0.0))
        now = max(self.share, begin + share * min(1.0, max(0.0, reported.fraction)))
        if reported.stage == self.stage and now < self.share + 0.01:
            return None
        self.stage, self.share = reported.stage, now
        return Stage(reported.stage, now)
