"""The checks of vendors' availability continue after a failed one."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from services.orchestrator.domain.paid_call import Finding, Found, PaidCall
from services.orchestrator.ports.backend import GenerationRequest
from services.orchestrator.ports.paid_backend import Availability
from services.orchestrator.worker.availability import VendorAvailability


class Asked:
    """A vendor with a first check that fails."""

    def __init__(self) -> None:
        self.looks = 0
        self.answered = asyncio.Event()

    async def availability(self) -> Availability:
        self.looks += 1
        if self.looks == 1:
            raise RuntimeError("as a fault of a library")
        self.answered.set()
        return Availability("no-credit", "The vendor's account is empty.")

    async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[Any, None]:
        raise AssertionError("nothing is generated here")
        yield

    async def check(self) -> None: ...

    async def stop(self, external_ref: str, model: str) -> bool:
        return False

    async def find(self, call: PaidCall) -> Found:
        return Found(Finding.UNKNOWN)


async def test_a_failed_check_does_not_end_the_checks() -> None:
    vendor = Asked()
    vendors = VendorAvailability({"vendor": vendor}, every_s=0.01)
    watching = asyncio.create_task(vendors.watch())
    async with asyncio.timeout(30):
        await vendor.answered.wait()
        while vendors.available("vendor") and not watching.done():
            vendor.answered.clear()
            await vendor.answered.wait()
    watching.cancel()
    await asyncio.wait({watching})
