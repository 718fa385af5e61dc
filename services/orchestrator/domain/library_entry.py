"""Entries of the library: what people see of an asset, apart from its bytes. A user has one for each digest."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.orchestrator.domain.job import Job
from services.orchestrator.domain.library_details import NO_DETAILS, Details, one_line

TITLE_FROM_PROMPT = 80
"""Characters of the prompt that become the title of a video without one."""


class Kind(StrEnum):
    """What an asset is."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class EntryKey:
    """What an entry is found by."""

    tenant: str
    user: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Origin:
    """The job that made an asset, and from what."""

    job_id: str
    operation: str
    model: str
    seed: int | None
    """None: the model takes none."""
    prompt: str
    """The prompt that the model got, given or written."""
    cost_micros: int
    """What the job was charged."""
    parents: tuple[str, ...]
    """SHA-256 of the assets that it was made from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryEntry:
    """What the library says of an asset."""

    tenant: str
    user: str
    sha256: str
    kind: Kind
    details: Details
    create_time: datetime
    update_time: datetime
    favorite: bool = False
    rating: int = 0
    """1 to 5; 0: not rated."""
    origin: Origin | None = None
    """None: it was uploaded."""
    downloads: int = 0
    shares: int = 0
    access_time: datetime | None = None
    """When its bytes were last read."""
    revision: int = 1
    """Rises with every change."""
    delete_time: datetime | None = None
    """Since when it is in the trash; None: it is not."""


def origin_of(job: Job) -> Origin:
    """Returns how the video of a job that has succeeded was made."""
    assert job.charged_micros is not None, "the job has ended"
    operation = job.spec.operation
    parents = tuple(dict.fromkeys(operation.assets.values()))
    return Origin(job.id, operation.kind, job.spec.model, job.spec.seed, job.prompt, job.charged_micros, parents)


def details_of(job: Job) -> Details:
    """Returns what the library says of the video of a job: as its spec asks, else titled by its prompt."""
    given = job.spec.details or NO_DETAILS
    if given.title:
        return given
    return replace(given, title=one_line(job.prompt)[:TITLE_FROM_PROMPT].rstrip())
