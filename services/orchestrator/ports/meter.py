"""Metrics of jobs and of what makes them."""

from typing import Protocol

from services.orchestrator.domain.job import Job


class Meter(Protocol):
    """Counts and measures jobs, backends and paid calls. Raises nothing."""

    def expected_wait(self, backend: str, seconds: float) -> None:
        """A new tenant's job is expected to wait so long for a backend."""

    def queue_refused(self, backend: str, reason: str) -> None:
        """A job was refused because too many wait for a backend, or because it could not be made in time."""

    def backend_ready(self, backend: str, ready: bool) -> None:
        """A backend could take a job now, or not."""

    def backend_drained(self, backend: str, drained: bool) -> None:
        """Operators have drained a backend, or not."""

    def admitted(self, job: Job) -> None:
        """A job was admitted."""

    def quote(self, step: str) -> None:
        """A quote token was `issued`; or one came with a job and was `valid`, or did not hold, with the reason."""

    def batch(self, mode: str, admitted: int, refused: int) -> None:
        """So many jobs of a batch were admitted, now or before, and so many refused."""

    def started(self, job: Job, waited_s: float) -> None:
        """A job's first attempt began after waiting so long."""

    def first_fragment(self, job: Job, after_s: float) -> None:
        """A job's first piece was stored so long after its admission."""

    def fragment(self, job: Job, *, early: bool) -> None:
        """A fragment after the first was stored before a viewer needed it, or later."""

    def made(self, job: Job, seconds: float) -> None:
        """One attempt made the whole video of a job, in so long."""

    def stopped(self, seconds: float) -> None:
        """A job ended so long after its attempt learned of the request to stop."""

    def continued(self, job: Job) -> None:
        """An attempt continues from checkpoints."""

    def checkpoint_failed(self, job: Job) -> None:
        """A checkpoint could not be stored now."""

    def ended(self, job: Job) -> None:
        """A job ended."""

    def paid_call(self, provider: str, step: str) -> None:
        """A paid call went a step: `submitting`, `accepted`, `released`, `charged`, `refunded` or `lost`."""

    def warned(self, job: Job, reason: str) -> None:
        """A vendor's video differs from what was requested or promised."""

    def reconciling(self, jobs: int) -> None:
        """So many jobs have a paid call with an unknown outcome."""

    def acted(self, action: str, outcome: str) -> None:
        """An operator or a tenant's admin did something, or was refused: `DONE` or the reason."""

    def shared_read(self, outcome: str) -> None:
        """A share was read: a `page` or a `file`; or it was `locked`, or `absent`."""

    def pass_phrase(self, outcome: str) -> None:
        """A pass phrase of a share was `right` or `wrong`, or `refused` after too many."""
