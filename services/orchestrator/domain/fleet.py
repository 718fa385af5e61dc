"""What waits and who works, as all processes see it in the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """The jobs that wait for a backend."""

    jobs: int
    oldest: datetime
    """When the oldest of them was admitted."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The queues and the workers of an installation."""

    backlogs: Mapping[str, Backlog]
    """By backend; only those for which jobs wait."""
    slots: Mapping[str, int]
    """Jobs at a time by backend, of the workers that are alive."""
    alive: int
    """Workers with a recent heartbeat."""
    silent: int
    """Workers that stopped to write heartbeats without leaving, and have not come back under their name."""
