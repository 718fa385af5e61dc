"""The counting of jobs: told what happens, answers nothing."""

from typing import Protocol

from services.orchestrator.domain.job import Job


class Meter(Protocol):
    """What is counted of jobs as they go, and of what makes them."""

    def queued(self, backend: str, jobs: int) -> None:
        """So many jobs wait for a backend now."""

    def backend_ready(self, backend: str, ready: bool) -> None:
        """A backend could take a job now, or could not."""

    def admitted(self, job: Job) -> None:
        """A job was admitted."""

    def started(self, job: Job, waited_s: float) -> None:
        """A job's first attempt began after waiting so long."""

    def first_fragment(self, job: Job, after_s: float) -> None:
        """A job's first piece was stored so long after its admission."""

    def continued(self, job: Job) -> None:
        """An attempt goes on from what an earlier one made."""

    def checkpoint_failed(self, job: Job) -> None:
        """A checkpoint could not be stored now."""

    def ended(self, job: Job) -> None:
        """A job ended."""

    def paid_call(self, provider: str, step: str) -> None:
        """A paid call went a step: `submitting`, `accepted`, `released`, `charged`, `refunded` or `lost`."""

    def warned(self, job: Job, reason: str) -> None:
        """A vendor's video is not quite what was asked for or promised."""

    def reconciling(self, jobs: int) -> None:
        """So many jobs have a paid call whose outcome nobody knows."""
