"""The readiness of a worker's backends: whether each could take a job now, for the metrics and the log."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.errors import Unavailable
from services.orchestrator.ports.backend import AttemptFailed, Backend
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.shared_backend import SharedBackend
from services.orchestrator.ports.workers import Workers
from services.reasons import JobReason

CHECK_S = 10.0
"""Seconds that a backend may take to answer whether it could take a job."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class BackendReadiness:
    """Checks the backends of one worker."""

    backends: Mapping[str, Backend]
    workers: Workers
    meter: Meter
    report: Callable[[str], None] | None = None
    """Gets why no backend takes work, after each check; empty: one does."""
    _logged: dict[str, str] = field(default_factory=dict)
    """Why each backend was not ready, as it was logged last."""

    async def check(self) -> None:
        """Reports whether each backend is ready. Raises Unavailable."""
        found = await asyncio.gather(*(self._check(name, backend) for name, backend in self.backends.items()))
        if self.report is not None:
            self.report(
                "" if "" in found or not found else ", ".join(map(": ".join, zip(self.backends, found, strict=True)))
            )
        shared = {name: backend for name, backend in self.backends.items() if isinstance(backend, SharedBackend)}
        await self.workers.report(
            dict(zip(self.backends, found, strict=True)),
            {name: backend.slots for name, backend in shared.items()},
            {name: backend.servers for name, backend in shared.items()},
        )

    async def _check(self, name: str, backend: Backend) -> str:
        """Returns why a backend could not take a job now, as a reason; empty if it could."""
        reason, why = await _obstacle(backend)
        self.meter.backend_ready(name, not reason)
        if why != self._logged.get(name, ""):  # logged once, not at every check
            self._logged[name] = why
            if reason:
                log.warning("a backend is not ready", extra={"backend": name, "reason": reason, "cause": why})
            else:
                log.info("a backend is ready", extra={"backend": name})
        return reason


async def _obstacle(backend: Backend) -> tuple[str, str]:
    """Returns why a backend could not take a job now, as a reason and a sentence; both empty if it could."""
    try:
        await _check_in_time(backend)
    except Unavailable as error:
        return error.reason, error.message
    except AttemptFailed as failure:
        return failure.error.reason, failure.error.message
    return "", ""


async def _check_in_time(backend: Backend) -> None:
    try:
        async with asyncio.timeout(CHECK_S):
            await backend.check()
    except TimeoutError:
        raise Unavailable(f"It said nothing for {CHECK_S:g} seconds.", reason=JobReason.NO_ANSWER) from None
