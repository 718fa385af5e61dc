"""What the registry keeps of a reason: the word, where it appears, and what the reader of it can do."""

from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """Where a reason appears: with a gRPC status, or in what a job says."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"
    DATA_LOSS = "DATA_LOSS"
    JOB = "failed job"
    """`JobError` with `retryable` false: the same spec fails again."""
    JOB_RETRYABLE = "failed job, retryable"
    """`JobError` with `retryable` true, as the end of a job or in `Retrying` and `Rerouted`."""
    EVENT = "event"
    """An event that does not end the job: `Warned`, `Released` or `Reconciling`."""
    DELIVERY = "delivery of a webhook"
    """The last error of a delivery, or why an endpoint is paused."""
    LOG = "log"
    """A worker's log alone."""


class Advice(StrEnum):
    """What to do first."""

    CHANGE = "change the request"
    RETRY = "retry"
    """The same request may succeed later: a call with the same request_id, a failed job with a new one."""
    RESUME = "resume the job"
    """The work was paid for and may still bring the video; where the job says that it is not `resumable`, retry."""
    OPERATORS = "ask the operators"
    """Nothing that the caller changes helps until the operators have acted."""
    NONE = "nothing"
    """It is a fact to know."""


class Reason(StrEnum):
    """A stable UPPER_SNAKE word for programs. Each domain has a subclass with its words."""

    codes: tuple[Code, ...]
    """Where it appears. Empty only for a word of another version."""
    advice: Advice
    meaning: str
    """What is wrong and the way out, in one or two sentences of Markdown."""

    def __new__(
        cls,
        word: str,
        meaning: str,
        codes: Code | tuple[Code, ...] = Code.INVALID_ARGUMENT,
        advice: Advice = Advice.CHANGE,
    ) -> Self:
        """Makes a member. Most refuse a field of a request, so this is the default."""
        reason = str.__new__(cls, word)
        reason._value_ = word
        reason.codes = (codes,) if isinstance(codes, Code) else codes
        reason.advice = advice
        reason.meaning = meaning
        return reason

    @classmethod
    def unregistered(cls, word: str) -> "Reason":
        """Returns a reason for a word that only another version of a peer knows; it says nothing but the word."""
        reason = str.__new__(Reason, word)
        reason._name_ = reason._value_ = word
        reason.codes, reason.advice, reason.meaning = (), Advice.OPERATORS, "A word of another version."
        return reason
