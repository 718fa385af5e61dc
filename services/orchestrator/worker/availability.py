"""Which vendors take work now, as they said when they were asked last: for routing, and for the catalog."""

import asyncio
import logging
from collections.abc import Mapping

from services.orchestrator.ports.backend import Backend
from services.orchestrator.ports.paid_backend import Availability, PaidBackend

LOOK_S = 5.0

log = logging.getLogger(__name__)


class VendorAvailability:
    """Asks every vendor every few seconds. One a process."""

    def __init__(self, backends: Mapping[str, Backend], *, every_s: float = LOOK_S) -> None:
        self._vendors = {name: backend for name, backend in backends.items() if isinstance(backend, PaidBackend)}
        self._told: dict[str, Availability] = {}
        self._every_s = every_s

    async def look(self) -> None:
        """Asks every vendor once."""
        told = await asyncio.gather(*(vendor.look() for vendor in self._vendors.values()))
        self._told = dict(zip(self._vendors, told, strict=True))

    async def watch(self) -> None:
        """Asks again and again, until it is cancelled."""
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("the check of vendors failed")  # their last answers stay valid
            await asyncio.sleep(self._every_s)

    def of(self, backend: str) -> Availability | None:
        """Returns what a vendor said; None of what is none, or was not asked yet."""
        return self._told.get(backend)

    def available(self, backend: str) -> bool:
        """Whether a backend takes work now, as far as is known; what is not known is asked like what is."""
        told = self.of(backend)
        return told is None or told.state == "available"
