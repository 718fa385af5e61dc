"""The list of workers: which workers are running, under which name, and the takeover of ended workers' jobs."""

from collections.abc import Collection, Mapping, Set
from datetime import datetime
from typing import Protocol


class Workers(Protocol):
    """The list of workers, and this worker's entry.

    Each start of a worker is an incarnation of its name. The queue entries that it takes are marked with the
    incarnation, so the jobs of a dead one are found, even if another worker has its name now.
    """

    @property
    def executor(self) -> str:
        """Id of this incarnation; it marks the queue entries that the incarnation takes."""

    async def enter(self) -> None:
        """Claims the name, and requeues the entries of earlier incarnations. Raises if another worker has the name."""

    async def hold(self) -> None:
        """Keeps the name until it is cancelled. Raises if another worker has the name."""

    async def leave(self) -> None:
        """Requeues all entries that this incarnation still has, and releases the name. Raises nothing."""

    async def beat(self) -> None:
        """Writes a heartbeat of this worker. Raises Unavailable."""

    async def report(
        self,
        obstacles: Mapping[str, str],
        slots: Mapping[str, int] | None = None,
        servers: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        """Stores for each backend why it could not take a job from this worker, as a reason; empty if it could.

        Of shared backends it stores the `slots` of this worker as they are now, and the `servers`, each with its jobs
        at a time of all workers. Raises Unavailable.
        """

    async def has(self, entry: str) -> bool:
        """Whether a queue entry that this incarnation took is still its own. Raises Unavailable."""

    async def taken(self) -> Set[str]:
        """Returns the queue entries that this incarnation has taken and that have not ended. Raises Unavailable."""

    async def put_back(self, entries: Collection[str]) -> None:
        """Requeues entries that this incarnation took, in their old places. Raises Unavailable."""

    async def take_over(self, since: datetime) -> Mapping[str, int]:
        """Requeues the entries of workers without a heartbeat since then; returns their number by executor.

        Raises Unavailable.
        """
