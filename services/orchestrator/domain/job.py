"""The job: one video to be made, and the states that it goes through."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.orchestrator.domain.event import JobError, PromptWritten, VideoOutput
from services.orchestrator.domain.paid_call import Call
from services.orchestrator.domain.spec import Spec


class State(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    RECONCILING = "reconciling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the job has ended: nothing can happen to it any more."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One video to be made, as it is now. Its events change it (`job_transitions`)."""

    id: str
    tenant: str
    user: str
    request_id: str
    spec: Spec
    """Completed: every default is filled in."""
    quote_micros: int
    """What was set aside: the most that the job can cost."""
    price_micros: int
    """The part of it that the video costs."""
    create_time: datetime
    expire_time: datetime
    key: str = ""
    """Id of the API key that it came with; empty: a token."""
    capability: str = ""
    """Of its model's card, also if the spec names the model; empty: none."""
    card_version: str = ""
    """Version of the price card of its quote."""
    quote_id: str = ""
    """Id of the quote token that it came with; empty: none."""
    trace_context: str = ""
    """Of the span of its admission; empty: it was not traced."""
    resumes: str = ""
    """The job whose paid work this one attaches to; empty: it does its own."""
    state: State = State.QUEUED
    stopping: bool = False
    """A stop was requested before it became RECONCILING."""
    call: Call = Call.NONE
    tried: tuple[str, ...] = ()
    """Models of the capability that were tried before the one of the spec."""
    written: PromptWritten | None = None
    """The prompt that was written from the spec's scene."""
    workflow: str = ""
    """The queue entry that may make attempts; empty: the one of the admission."""
    stage: str = "queued"
    progress: float = 0.0
    attempt: int = 0
    last_sequence: int = 0
    charged_micros: int | None = None
    refunded_micros: int = 0
    """Part of the charge that was given back after the end. No event records it, because no event follows the end."""
    output: VideoOutput | None = None
    error: JobError | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    delete_time: datetime | None = None
    """When its user deleted it; they see it no more. No event records it."""

    @property
    def prompt(self) -> str:
        """The prompt for the model; empty until it is written."""
        return self.written.prompt if self.written else self.spec.operation.prompt

    @property
    def prompt_cost_micros(self) -> int:
        """What the writing of the prompt is charged: its cost, as far as the quote provides for it."""
        return min(self.written.cost_micros, self.quote_micros - self.price_micros) if self.written else 0

    @property
    def owed_micros(self) -> int:
        """What the job costs if it ends now without a video: what vendors were, or may have been, paid for it."""
        return self.prompt_cost_micros + (self.price_micros if self.call.live else 0)

    @property
    def vendor_micros(self) -> int:
        """What vendors are paid for the ended job, as far as we know: the card's price of its task, and its prompt.

        One that resumes another's work has the task and the prompt of that one.
        """
        if self.resumes:
            return 0
        task = self.price_micros if self.call is Call.CHARGED else 0
        return task + (self.written.cost_micros if self.written else 0)

    @property
    def local(self) -> bool:
        """Whether its model runs on our own backends: those alone make exact sizes."""
        return self.spec.size is not None

    @property
    def start_by(self) -> datetime | None:
        """When the first attempt must have begun; None: no limit but the deadline, or it has begun.

        A job that fetches paid work has none: the price is charged already.
        """
        if self.spec.start_timeout_ms is None or self.attempt or self.resumes:
            return None
        return self.create_time + timedelta(milliseconds=self.spec.start_timeout_ms)

    def __repr__(self) -> str:
        done = f"{self.stage} {self.progress:.0%} #{self.last_sequence}"
        return f"<Job {self.id} {self.state} attempt={self.attempt} {done}>"
