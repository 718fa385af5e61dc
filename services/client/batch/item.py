"""One video of a batch, as the journal knows it."""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from services.client.batch.row import Crop


class State(StrEnum):
    """How far a video is."""

    PLANNED = "planned"
    """Nothing was submitted."""
    INTENDED = "intended"
    """It may have been submitted, with its request_id; the answer is not known."""
    SUBMITTED = "submitted"
    """Its job is known; its file is not here."""
    DONE = "done"
    REFUSED = "refused"
    """The service refused it, and nothing was charged."""
    FAILED = "failed"
    """Its job ended without a video."""


class Again(StrEnum):
    """What a later call does with a failed job."""

    NO = ""
    """The same request would fail again."""
    RETRY = "retry"
    """It may succeed."""
    RESUME = "resume"
    """It is paid for, and is fetched at no further charge."""


@dataclass(frozen=True, slots=True)
class Item:
    """A row's video, or one of its samples."""

    id: int
    row: int
    sample: int
    name: str
    """Of its file."""
    prompt: str
    negative: str
    seed: int | None
    picture: str
    crop: Crop | None
    state: State
    again: Again
    tries: int
    """Jobs that ended without a video."""
    request_id: str
    spec: bytes
    job: str

    @property
    def label(self) -> str:
        """What a person calls it: rows count from 1."""
        return f"row {self.row + 1}" + (f", sample {self.sample}" if self.sample else "")

    def next_request_id(self, batch: uuid.UUID) -> str:
        """Returns the request_id of its next submission: the same after any interruption, another after a failure."""
        return str(uuid.uuid5(batch, f"{self.id}/{self.tries}"))
