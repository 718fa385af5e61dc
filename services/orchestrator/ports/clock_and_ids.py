"""The time, new ids and random seeds: the core gets them from these ports alone."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Returns the current time, in UTC."""


class Ids(Protocol):
    """New ids and random seeds."""

    def job_id(self) -> str:
        """Returns a new job id: sortable by creation time, URL-safe."""

    def seed(self) -> int:
        """Returns a random seed, 0 to 2^63 - 1."""
