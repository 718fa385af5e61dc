"""The drained backends, as this process knows them: workers take no jobs of theirs, and no new ones are admitted."""

import logging
from collections.abc import Collection, Set

from services.errors import Unavailable
from services.orchestrator.ports.backend_drains import BackendDrains
from services.orchestrator.ports.meter import Meter

REFRESH_S = 2.0
"""Seconds between two readings without a notification: a drain holds within five seconds, even if one is lost."""

log = logging.getLogger(__name__)


class DrainedBackends:
    """Reads which backends are drained, again and again. One a process."""

    def __init__(
        self, drains: BackendDrains, backends: Collection[str], meter: Meter, *, every_s: float = REFRESH_S
    ) -> None:
        """`backends` are those of this process, for the metric."""
        self._drains = drains
        self._meter = meter
        self._every_s = every_s
        self._measured = set(backends)
        self._drained: Set[str] = frozenset()

    async def refresh(self) -> None:
        """Reads the drains once. Raises Unavailable."""
        drained = frozenset(await self._drains.drained())
        for backend in drained ^ self._drained:
            log.info(
                "a backend is drained" if backend in drained else "a backend is no longer drained",
                extra={"backend": backend},
            )
        self._drained = drained
        self._measured |= drained
        for backend in self._measured:
            self._meter.backend_drained(backend, backend in drained)

    async def watch(self) -> None:
        """Reads the drains when they change, and periodically, until cancelled."""
        async with self._drains.changes() as signal:
            while True:
                await signal.wait(self._every_s)
                try:
                    await self.refresh()
                except Unavailable:
                    log.debug("the database is away; the drains are as they were")

    def is_drained(self, backend: str) -> bool:
        """Whether a backend is drained. May be called by any thread."""
        return backend in self._drained
