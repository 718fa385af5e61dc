"""The state of an attempt: what it has made so far."""

import asyncio
from dataclasses import dataclass, field
from time import monotonic

from services.orchestrator.attempt.checkpoints import Checkpoints
from services.orchestrator.attempt.playback import Playback
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.fragments import Fragments
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.manifest import Manifest
from services.orchestrator.domain.price import partial_charge


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass(slots=True)
class AttemptState:
    """The state of one running attempt."""

    job: Job
    """As the attempt began, and with the prompt that was written for it."""
    checkpoints: Checkpoints
    card: ModelCard | None = None
    """The card of the job's model as the attempt began; None if there was none."""
    fragments: Fragments = field(default_factory=Fragments)
    """Those that all attempts have announced."""
    total_frames: int = 0
    """Frames of the whole video; 0 if a vendor decides how many."""
    next_fragment: int = 0
    """Index of the next fragment that the backend yields."""
    progress: float = 0.0
    """The highest progress that this attempt has recorded."""
    external_ref: str = ""
    """The vendor's name of the task; empty until it is known."""
    output: tuple[Asset, ...] = ()
    """The whole video, once it is stored; the final event records its asset."""
    manifest: Manifest | None = None
    """How the whole video was made, once it is stored."""
    submission_answered: asyncio.Event = field(default_factory=_set_event)
    """Cleared while a task is being submitted and the vendor has not answered."""

    begin: float = field(default_factory=monotonic)
    """When the attempt began. This and the next are in seconds of a clock that never jumps."""
    stop: float | None = None
    """When it learned of a request to stop."""
    playback: Playback = field(default_factory=Playback)
    """What a viewer has of the fragments of this attempt."""

    def partial_charge(self) -> int:
        """Returns the price of the announced frames, in micros."""
        return partial_charge(self.job.quote_micros, self.fragments.frames, self.total_frames)
