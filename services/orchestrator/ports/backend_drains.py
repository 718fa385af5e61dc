"""The drains of backends, which all processes share."""

from collections.abc import Mapping, Set
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.backend_state import BackendState
from services.orchestrator.ports.signal import Signal


class BackendDrains(Protocol):
    """Which backends are drained. Every method raises services.errors.Unavailable without the database."""

    async def drained(self) -> Set[str]:
        """Returns the names of the drained backends."""

    def changes(self) -> AbstractAsyncContextManager[Signal]:
        """Yields a signal that is raised when a drain may have begun or ended."""

    async def drain(self, backend: str, act: Act) -> None:
        """Drains a backend, or gives its drain another reason, and writes the act into the audit log."""

    async def undrain(self, backend: str, act: Act) -> None:
        """Ends a drain, if there is one, and writes the act into the audit log."""

    async def states(self) -> Mapping[str, BackendState]:
        """Returns the backends that have a drain, unfinished jobs or workers."""
