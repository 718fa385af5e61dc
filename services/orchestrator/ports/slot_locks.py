"""Locks of the slots of servers that several workers share: no two jobs have the same slot."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SlotLock:
    """A slot that this process has."""

    server: str
    number: int
    """From 0."""


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How full servers are."""

    free: int
    """Slots that no process has."""
    waiting: int
    """Jobs of other processes that wait for one of these slots."""


class SlotLocks(Protocol):
    """The locks of one process. Servers come with the number of their slots, by a name that all processes use.

    Every method raises services.errors.Unavailable without the database, if it does not say otherwise.
    """

    async def take(self, servers: Mapping[str, int]) -> SlotLock | None:
        """Takes a slot of the server that has most free ones. Returns None if all are taken."""

    def release(self, lock: SlotLock) -> None:
        """Releases a slot, soon. Raises nothing."""

    async def look(self, servers: Mapping[str, int]) -> Occupancy:
        """Returns how full the servers are."""

    async def keep(self) -> None:
        """Takes the slots of this process again if it has lost them with its connection. To be called periodically."""

    def waiting(self, servers: Mapping[str, int]) -> AbstractAsyncContextManager[None]:
        """Shows the other processes meanwhile that a job waits for a slot of these servers."""
