"""Which vendors take work now, as they said when they were asked last: for routing, and for the catalog."""

import asyncio
from collections.abc import Mapping

from services.orchestrator.ports.backend import Backend
from services.orchestrator.ports.vendor import Availability, Vendor

LOOK_S = 5.0


class Vendors:
    """Asks every vendor every few seconds. One a process."""

    def __init__(self, backends: Mapping[str, Backend]) -> None:
        self._vendors = {name: backend for name, backend in backends.items() if isinstance(backend, Vendor)}
        self._told: dict[str, Availability] = {}

    async def look(self) -> None:
        """Asks every vendor once."""
        told = await asyncio.gather(*(vendor.look() for vendor in self._vendors.values()))
        self._told = dict(zip(self._vendors, told, strict=True))

    async def watch(self) -> None:
        """Asks again and again, until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    def of(self, backend: str) -> Availability | None:
        """Returns what a vendor said; None of what is none, or was not asked yet."""
        return self._told.get(backend)

    def available(self, backend: str) -> bool:
        """Whether a backend takes work now, as far as is known; what is not known is asked like what is."""
        told = self.of(backend)
        return told is None or told.state == "available"
