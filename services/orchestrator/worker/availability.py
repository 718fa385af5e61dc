"""The availability of vendors: whether each takes work now. For routing, and for the catalog."""

import asyncio
import logging
from collections.abc import Mapping

from services.orchestrator.ports.backend import Backend
from services.orchestrator.ports.paid_backend import Availability, PaidBackend

CHECK_S = 5.0
"""Seconds between two checks of a vendor."""

log = logging.getLogger(__name__)


class VendorAvailability:
    """Checks every vendor every few seconds. One a process."""

    def __init__(self, backends: Mapping[str, Backend], *, every_s: float = CHECK_S) -> None:
        self._vendors = {name: backend for name, backend in backends.items() if isinstance(backend, PaidBackend)}
        self._availability: dict[str, Availability] = {}
        """The last answers, by vendor."""
        self._every_s = every_s

    async def refresh(self) -> None:
        """Checks every vendor once."""
        found = await asyncio.gather(*(vendor.availability() for vendor in self._vendors.values()))
        self._availability = dict(zip(self._vendors, found, strict=True))

    async def watch(self) -> None:
        """Checks every vendor periodically until cancelled."""
        while True:
            try:
                await self.refresh()
            except Exception:
                log.exception("the check of vendors failed")  # the last answers stay valid
            await asyncio.sleep(self._every_s)

    def of(self, backend: str) -> Availability | None:
        """Returns a vendor's availability; None if the backend is no vendor or was not checked yet."""
        return self._availability.get(backend)

    def available(self, backend: str) -> bool:
        """Whether a backend takes work now. One without a known availability counts as available."""
        found = self.of(backend)
        return found is None or found.state == "available"
