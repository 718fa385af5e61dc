"""The backends as operators see them: drained or not, with their jobs and workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Drain:
    """A backend whose queue no worker takes jobs from."""

    backend: str
    reason: str
    """As the operator said; may be empty."""
    actor: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class BackendWorker:
    """A worker that runs jobs of a backend."""

    name: str
    beat_time: datetime
    """Of its last heartbeat."""
    obstacle: str
    """Why the backend could not take a job from it, as a reason; empty: it could."""


@dataclass(frozen=True, slots=True)
class BackendState:
    """A backend as it is now."""

    name: str
    drain: Drain | None = None
    queued: int = 0
    """Jobs that wait."""
    running: int = 0
    """Jobs that workers run, or that the vendor has."""
    workers: Sequence[BackendWorker] = ()
    """By name."""
