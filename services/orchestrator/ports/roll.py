"""The roll of workers: who lives, under which name, and whose work is put back for the others."""

from collections.abc import Collection, Mapping, Set
from datetime import datetime
from typing import Protocol


class Roll(Protocol):
    """The list of workers, and this worker's entry.

    Each start of a worker is an incarnation of its name. What it takes from the queues is marked with the incarnation,
    so the work of one that died is found whoever has its name now.
    """

    @property
    def executor(self) -> str:
        """Id of this incarnation: what marks the queue entries that it takes."""

    async def enter(self) -> None:
        """Takes the name, and puts back what earlier incarnations left. Raises when another worker has the name."""

    async def hold(self) -> None:
        """Keeps the name for as long as it is awaited. Raises when another worker has it."""

    async def leave(self) -> None:
        """Puts back all that this incarnation still has, and gives the name back. Fails nothing."""

    async def beat(self) -> None:
        """Notes that this worker lives. Raises Unavailable."""

    async def has(self, entry: str) -> bool:
        """Whether a queue entry that this incarnation took is still its own. Raises Unavailable."""

    async def taken(self) -> Set[str]:
        """Returns the queue entries that this incarnation has taken and that have not ended. Raises Unavailable."""

    async def put_back(self, entries: Collection[str]) -> None:
        """Puts queue entries that this incarnation took back in their old places. Raises Unavailable."""

    async def take_over(self, since: datetime) -> Mapping[str, int]:
        """Puts back what workers left that have not been heard of since; returns how many entries, by executor.

        Raises Unavailable.
        """
