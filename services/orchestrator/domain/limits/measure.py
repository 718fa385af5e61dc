"""What a limit counts: one class for each kind.

A class says how much of its kind a new job asks for, and how much of that an ended job has used. Counters and SQL know
only the amounts. So a new kind of limit is a class here, and its name in `KINDS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from services.orchestrator.domain.job import Job, State


class Unit(StrEnum):
    """The unit of an amount."""

    MICROS = "micros"
    """Millionths of the currency."""
    JOBS = "jobs"
    MILLISECONDS = "milliseconds"
    """Of video."""
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a new job asks of the limits."""

    quote_micros: int
    duration_ms: int
    operation: str
    models: tuple[str, ...]
    """Every model that may be tried: limits on any of them count it until it is known which has."""
    capability: str = ""
    """Of these models; empty: none."""
    resumes: bool = False
    """It fetches paid work of another job: it is no new work, but it is unfinished and queued."""


class Measure(Protocol):
    """One kind of amount that limits count. Each kind says what differs from this."""

    kind: ClassVar[str]
    """Its name in plans."""
    unit: ClassVar[Unit]
    at_a_time: ClassVar[bool] = False
    """Whether it counts what exists at the same moment, in no period."""
    until_start: ClassVar[bool] = False
    """Whether a job stops to count when its first attempt begins."""

    @property
    def key(self) -> str:
        """The name of the measure in counters; `measure_of` reads it."""
        return self.kind

    def asked(self, demand: Demand) -> int | None:
        """Returns what a job asks for; None if it does not count here."""

    def used(self, held: int, job: Job) -> int:
        """Returns what an ended job has used of the amount that was held for it: 0 to `held`."""
        return 0


@dataclass(frozen=True, slots=True)
class Spend(Measure):
    """Money: the quotes of unfinished jobs and the charges of ended ones."""

    kind: ClassVar[str] = "spend"
    unit: ClassVar[Unit] = Unit.MICROS

    def asked(self, demand: Demand) -> int | None:
        """Returns the quote, also if it is 0: so every job has its bookings."""
        return demand.quote_micros

    def used(self, held: int, job: Job) -> int:
        """Returns the charge."""
        return min(held, job.charged_micros or 0)


@dataclass(frozen=True, slots=True)
class Jobs(Measure):
    """Jobs, of one operation, model or capability if it is named.

    A job that ends without a video or a charge does not count.
    """

    operation: str = ""
    model: str = ""
    capability: str = ""

    kind: ClassVar[str] = "jobs"
    unit: ClassVar[Unit] = Unit.JOBS

    @property
    def key(self) -> str:
        """The name in counters, such as `jobs:model=nano`."""
        named = {"operation": self.operation, "model": self.model, "capability": self.capability}
        return ":".join([self.kind, *(f"{name}={value}" for name, value in named.items() if value)])

    def asked(self, demand: Demand) -> int | None:
        """Returns 1 for new work of this operation, model and capability."""
        of_operation = self.operation in ("", demand.operation)
        of_model = self.model in ("", *demand.models)
        of_capability = self.capability in ("", demand.capability)
        return 1 if of_operation and of_model and of_capability and not demand.resumes else None

    def used(self, held: int, job: Job) -> int:
        """Returns 1 if the job brought a video or cost something, and this model was the last that was asked."""
        counts = job.state is State.SUCCEEDED or job.charged_micros
        return held if counts and self.model in ("", job.spec.model) else 0


@dataclass(frozen=True, slots=True)
class VideoSeconds(Measure):
    """Seconds of video, counted in milliseconds. A job that is stopped counts the share that it is charged for."""

    kind: ClassVar[str] = "seconds"
    unit: ClassVar[Unit] = Unit.MILLISECONDS

    def asked(self, demand: Demand) -> int | None:
        """Returns the length of the video."""
        return None if demand.resumes else demand.duration_ms

    def used(self, held: int, job: Job) -> int:
        """Returns the length of the video, or the share of it that is charged, a started millisecond counted whole."""
        if job.state is State.SUCCEEDED:
            return held
        charged = max(0, (job.charged_micros or 0) - job.prompt_cost_micros)
        return min(held, -(-held * charged // job.price_micros)) if job.price_micros else 0


@dataclass(frozen=True, slots=True)
class UnfinishedJobs(Measure):
    """Jobs that have not ended."""

    kind: ClassVar[str] = "unfinished"
    unit: ClassVar[Unit] = Unit.JOBS
    at_a_time: ClassVar[bool] = True

    def asked(self, demand: Demand) -> int | None:
        """Returns 1."""
        return 1


@dataclass(frozen=True, slots=True)
class QueuedJobs(Measure):
    """Jobs whose first attempt has not begun."""

    kind: ClassVar[str] = "queued"
    unit: ClassVar[Unit] = Unit.JOBS
    at_a_time: ClassVar[bool] = True
    until_start: ClassVar[bool] = True

    def asked(self, demand: Demand) -> int | None:
        """Returns 1."""
        return 1


@dataclass(frozen=True, slots=True)
class StoredBytes(Measure):
    """Bytes of stored assets. Uploads ask for them; jobs do not: the size of a video is not known before."""

    kind: ClassVar[str] = "bytes"
    unit: ClassVar[Unit] = Unit.BYTES
    at_a_time: ClassVar[bool] = True

    def asked(self, demand: Demand) -> int | None:
        """Returns None: uploads count, not jobs."""
        return None


KINDS: Mapping[str, type[Measure]] = {
    each.kind: each for each in (Spend, Jobs, VideoSeconds, UnfinishedJobs, QueuedJobs, StoredBytes)
}


def measure_of(key: str) -> Measure:
    """Returns the measure of a key. Raises KeyError or TypeError if it is none."""
    kind, *named = key.split(":")
    return KINDS[kind](**dict(each.split("=", 1) for each in named))
