"""The Tritons of one profile behind one name of a backend.

Each attempt takes a slot of the server that has most free ones, and all its requests go there: a clip's sequence stays
on one server. The slots are locks in the database, because other workers use the servers too. A server that does not
answer, is not ready or is no longer listed by DNS gets nothing new; what it makes, it may finish.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, suppress

from services.errors import Unavailable
from services.orchestrator.backends.triton_addresses import resolve
from services.orchestrator.backends.triton_backend import TritonBackend
from services.orchestrator.backends.triton_server import CHECK_S, LOST_S, TritonServer
from services.orchestrator.ports.backend import BackendEvent, GenerationRequest
from services.orchestrator.ports.server_meter import ServerMeter
from services.orchestrator.ports.slot_locks import SlotLock, SlotLocks
from services.reasons import JobReason

LOOK_UP_S = 5.0
"""Seconds for which the addresses of a name hold."""
WAIT_S = 0.25
"""Seconds between two looks for a free slot."""
SERVERS_MOST = 64
"""Servers of one backend."""

Connect = Callable[[str, str], TritonBackend]
"""Makes the backend of one server, from its address and the `host:port` of the settings that stands for it."""
Resolve = Callable[[str], Awaitable[list[str] | None]]

log = logging.getLogger(__name__)


class TritonPool:
    """A SharedBackend. Use `close` at the end."""

    def __init__(
        self,
        backend: str,
        targets: Sequence[str],
        connect: Connect,
        locks: SlotLocks,
        meter: ServerMeter,
        *,
        slots: int,
        resolve: Resolve = resolve,
        look_up_s: float = LOOK_UP_S,
        check_s: float = CHECK_S,
        lost_s: float = LOST_S,
    ) -> None:
        """`targets` are `host:port`; a host may stand for several servers. `slots` are this worker's on each server.

        The addresses are looked up again after `look_up_s`. A check of a server takes at most `check_s`, and after
        `lost_s` without an answer its attempts end.
        """
        self._backend, self._targets, self._connect = backend, targets, connect
        self._locks, self._meter, self._slots = locks, meter, slots
        self._resolve, self._look_up_s = resolve, look_up_s
        self._check_s, self._lost_s = check_s, lost_s
        self._servers: dict[str, TritonServer] = {}
        self._found: dict[str, list[str]] = {}
        """The addresses of each target, as they were found last."""
        self._looking = asyncio.Lock()
        self._looked_up = -math.inf
        self._held = 0
        """Jobs that have a slot."""
        self._freed = asyncio.Event()
        self._reserved: deque[SlotLock] = deque()

    @property
    def slots(self) -> int:
        """Jobs that this worker may run at a time: with no server ready those of one, so that jobs meet the reason."""
        usable = self._usable()
        each = [min(self._slots, server.slots) for server in usable]
        return sum(each) if any(server.ready for server in usable) else max(each, default=self._slots)

    @property
    def servers(self) -> Mapping[str, int]:
        """The servers that are ready, each with its jobs at a time of all workers."""
        return {server.name: server.slots for server in self._servers.values() if server.ready}

    async def reserve(self, running: int, wanted: int) -> int:
        """Reserves slots for jobs that this worker is about to take, in addition to those that it runs.

        Returns their number, at most `wanted`; the next attempts have these slots. Raises Unavailable.
        """
        await self._look_up()
        begin = max(0, running - self._held)
        """Jobs without a slot: they are about to ask for one, or wait because they lost theirs."""
        self.give_back(len(self._reserved) - begin)  # their jobs ended before they made anything
        servers = {server.name: server.slots for server in self._usable()}
        occupancy = await self._locks.look(servers)
        most = occupancy.free - occupancy.waiting - (begin - len(self._reserved))
        for reserved in range(min(wanted, most)):
            if (lock := await self._locks.take(servers)) is None:
                return reserved
            self._reserved.append(lock)
        return max(0, min(wanted, most))

    def give_back(self, count: int) -> None:
        """Gives back so many reserved slots."""
        for _ in range(min(count, len(self._reserved))):
            self._locks.release(self._reserved.pop())

    async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        """Yields what one of the servers makes of a request. Raises AttemptFailed, Unavailable."""
        server, lock = await self._take()
        server.jobs += 1
        self._held += 1
        self._show(server)
        try:
            async with aclosing(server.generate(attempt)) as events:
                async for event in events:
                    yield event
        except Unavailable as error:
            server.obstacle = error  # until the next check
            raise
        finally:
            server.jobs -= 1
            self._held -= 1
            self._locks.release(lock)
            self._freed.set()
            self._show(server)

    async def check(self) -> None:
        """Checks every server; one that takes work is enough. Raises AttemptFailed, Unavailable.

        Those that DNS has dropped while they make a video are checked too: their machines may be lost.
        """
        await self._look_up()
        servers = [server for server in self._servers.values() if server.listed or server.jobs]
        for server in servers:
            server.checks += 1
        try:
            await asyncio.gather(self._keep_locks(), *(server.check(self._backend) for server in servers))
        finally:
            for server in servers:
                server.checks -= 1
        for server in servers:
            self._show(server)
        listed = [server for server in servers if server.listed]
        obstacles = [server.obstacle for server in listed if server.obstacle is not None]
        if not listed:
            raise _no_address()
        if len(obstacles) == len(listed):
            raise obstacles[0]

    async def close(self) -> None:
        """Gives back the connections."""
        self.give_back(len(self._reserved))
        async with AsyncExitStack() as stack:
            for server in self._servers.values():
                stack.push_async_callback(server.backend.close)

    async def _keep_locks(self) -> None:
        with suppress(Unavailable):  # the next check tries again; the Tritons can do without the database
            await self._locks.keep()

    async def _take(self) -> tuple[TritonServer, SlotLock]:
        """Waits for a free slot of a server that takes work. Raises Unavailable."""
        if (taken := await self._try()) is not None:
            return taken
        async with self._locks.waiting({server.name: server.slots for server in self._usable()}):
            while True:
                self._freed.clear()
                if (taken := await self._try()) is not None:
                    return taken
                try:
                    await asyncio.wait_for(self._freed.wait(), WAIT_S)
                except TimeoutError:
                    continue

    async def _try(self) -> tuple[TritonServer, SlotLock] | None:
        await self._look_up()
        usable = {server.name: server for server in self._usable()}
        if not usable:
            raise _no_address()
        while self._reserved:
            lock = self._reserved.popleft()
            if lock.server in usable:
                return usable[lock.server], lock
            self._locks.release(lock)
        taken = await self._locks.take({name: server.slots for name, server in usable.items()})
        if taken is None or usable[taken.server].listed:
            return None if taken is None else (usable[taken.server], taken)
        self._locks.release(taken)  # meanwhile DNS has dropped it, and its connection may be closed
        return None

    def _usable(self) -> list[TritonServer]:
        """Returns the servers that take work; if none does, all, because an attempt finds out why."""
        listed = [server for server in list(self._servers.values()) if server.listed]  # a queue's thread reads it too
        return [server for server in listed if server.ready] or listed

    async def _look_up(self) -> None:
        """Looks up the addresses again if they are old; new servers are asked for their slots."""
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if now < self._looked_up + self._look_up_s:
                return
            answers = await asyncio.gather(*map(self._resolve, self._targets))
            self._looked_up = now
            for target, answer in zip(self._targets, answers, strict=True):
                if answer is not None:  # DNS that does not answer changes nothing
                    self._found[target] = answer
            targets = {address: target for target, found in self._found.items() for address in found}
            if len(targets) > SERVERS_MOST:
                log.warning("a backend has too many Tritons", extra={"backend": self._backend, "servers": len(targets)})
            wanted = dict(list(targets.items())[:SERVERS_MOST])
            self._meter.listed(self._backend, len(wanted))
            new = [self._add(address, target) for address, target in wanted.items() if address not in self._servers]
            for address, server in list(self._servers.items()):
                server.listed = address in wanted
                if server.listed:
                    continue
                self._meter.server_gone(self._backend, address)
                if not server.jobs and not server.checks:
                    del self._servers[address]
                    await server.backend.close()
            await asyncio.gather(*(server.learn_slots() for server in new))

    def _add(self, address: str, target: str) -> TritonServer:
        connected = self._connect(address, target)
        server = TritonServer(address, connected, self._slots, check_s=self._check_s, lost_s=self._lost_s)
        self._servers[address] = server
        log.info("a Triton was found", extra={"backend": self._backend, "server": address})
        return server

    def _show(self, server: TritonServer) -> None:
        if server.listed:
            self._meter.server(self._backend, server.address, ready=server.ready, slots=server.slots, jobs=server.jobs)


def _no_address() -> Unavailable:
    return Unavailable("The local engine has no address now.", reason=JobReason.ENGINE_UNREACHABLE)
