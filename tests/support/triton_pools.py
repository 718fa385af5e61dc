"""Several scripted Tritons behind one name of a backend, and pools over them, each like that of one worker."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from services.orchestrator.backends.triton_backend import TritonBackend
from services.orchestrator.backends.triton_pool import TritonPool
from services.orchestrator.meters.triton_metrics import TritonMetrics
from services.orchestrator.ports.backend import BackendEvent, GenerationRequest
from services.orchestrator.store.slot_locks import PostgresSlotLocks
from tests.support.scripted_triton import ScriptedTriton, serving
from tests.support.triton_backend_rig import PICTURE, a_spec, the_card

LONG = the_card(durations_ms=(2000,))
"""Its videos have four blocks."""


@dataclass
class Site:
    """Tritons that can be killed, and workers' pools over one database."""

    database: str
    folder: Path
    stack: AsyncExitStack
    tritons: list[ScriptedTriton]
    addresses: list[str] = field(default_factory=list)
    servers: list[AsyncExitStack] = field(default_factory=list)
    listed: list[str] | None = None
    """What DNS says; None: nothing."""
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    async def start(self) -> None:
        for triton in self.tritons:
            server = await self.stack.enter_async_context(AsyncExitStack())
            self.addresses.append(await server.enter_async_context(serving(triton)))
            self.servers.append(server)
        self.listed = list(self.addresses)

    async def kill(self, number: int) -> None:
        await self.servers[number].aclose()

    def worker(self, slots: int = 9, locks: type[PostgresSlotLocks] = PostgresSlotLocks, **options: Any) -> TritonPool:
        """Returns the pool of a worker of its own, which looks up the addresses each time."""

        def connect(address: str, target: str) -> TritonBackend:
            return TritonBackend(address, lambda: [the_card()], target=target)

        async def resolve(target: str) -> list[str] | None:
            return self.listed

        held, meter = locks(self.database), TritonMetrics(self.registry)
        options = {"resolve": resolve, "look_up_s": 0.0} | options
        pool = TritonPool("triton", ["tritons:8001"], connect, held, meter, slots=slots, **options)
        self.registry = CollectorRegistry()
        self.stack.push_async_callback(held.close)
        self.stack.push_async_callback(pool.close)
        return pool

    def attempt(self, number: int = 1, checkpoints: Iterable[bytes] = (), job: str = "job") -> GenerationRequest:
        folder = self.folder / f"{job}-{number}"
        folder.mkdir()
        return GenerationRequest(job, number, a_spec(LONG), LONG, PICTURE, folder, tuple(checkpoints))


async def events_of(pool: TritonPool, attempt: GenerationRequest) -> list[BackendEvent]:
    async with aclosing(pool.generate(attempt)) as events:
        return [event async for event in events]


async def until(holds: Any) -> None:
    """Waits for a state of a scripted Triton, which has no event for it."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@asynccontextmanager
async def a_site(database: str, folder: Path, *tritons: ScriptedTriton) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        site = Site(database, folder, stack, list(tritons))
        await site.start()
        yield site
