"""A backend on servers that workers share: how many jobs it has room for follows the servers that are ready."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from services.orchestrator.ports.backend import Backend


@runtime_checkable
class SharedBackend(Backend, Protocol):
    """A backend on several servers, which other workers use too."""

    @property
    def slots(self) -> int:
        """Jobs that this worker may run at a time, on the servers that are ready now."""

    @property
    def servers(self) -> Mapping[str, int]:
        """The servers that are ready, by a name that all workers use, each with its jobs at a time of all workers."""

    async def reserve(self, running: int, wanted: int) -> int:
        """Reserves slots for jobs that this worker is about to take, in addition to those that it runs.

        Returns their number, at most `wanted`; the next attempts have these slots. Raises Unavailable.
        """

    def give_back(self, count: int) -> None:
        """Gives back so many reserved slots: there was no job for them. Raises nothing."""
