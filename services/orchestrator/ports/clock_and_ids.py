"""The time, and whatever is new or random: the core asks for them here and nowhere else."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """The moment, in UTC."""


class Ids(Protocol):
    """Everything that must be new or random."""

    def job_id(self) -> str:
        """A new job id: sortable by time of making, URL-safe."""

    def seed(self) -> int:
        """A random seed, 0 to 2^63 - 1."""
