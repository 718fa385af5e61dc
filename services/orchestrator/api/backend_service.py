"""BackendService: the backends, and their drains, for operators."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import grpc
from i2v.admin.v1 import backend_pb2, backend_pb2_grpc

from services.errors import NotFound
from services.orchestrator.api import proto_values
from services.orchestrator.api.acting import Acting
from services.orchestrator.domain.backend_state import BackendState, BackendWorker
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.ports.backend_drains import BackendDrains
from services.orchestrator.ports.clock_and_ids import Clock


@dataclass(frozen=True, slots=True)
class BackendService(backend_pb2_grpc.BackendServiceServicer):
    """Answers the RPCs of backend.proto."""

    drains: BackendDrains
    catalog: Callable[[], Iterable[ModelCard]]
    """Returns the catalog that holds now."""
    expected_wait_s: Callable[[str], Awaitable[float | None]]
    """Returns how long a new tenant's job would wait for a backend; None: not known."""
    acting: Acting
    clock: Clock
    silent_s: float
    """Seconds without a heartbeat after which a worker counts as silent."""

    async def ListBackends(
        self, request: backend_pb2.ListBackendsRequest, context: grpc.ServicerContext
    ) -> backend_pb2.ListBackendsResponse:
        """Returns all backends."""
        states = await self._states()
        return backend_pb2.ListBackendsResponse(backends=[await self._message(states[name]) for name in sorted(states)])

    async def DrainBackend(
        self, request: backend_pb2.DrainBackendRequest, context: grpc.ServicerContext
    ) -> backend_pb2.Backend:
        """Drains a backend."""
        named = proto_values.resource_id(request.name, "backends")
        async with self.acting.change("DrainBackend", f"backends/{named}", request.reason, reason_needed=False) as act:
            await self._known(named)
            await self.drains.drain(named, act)
        return await self._message(await self._known(named))

    async def UndrainBackend(
        self, request: backend_pb2.UndrainBackendRequest, context: grpc.ServicerContext
    ) -> backend_pb2.Backend:
        """Ends a drain."""
        named = proto_values.resource_id(request.name, "backends")
        async with self.acting.change(
            "UndrainBackend", f"backends/{named}", request.reason, reason_needed=False
        ) as act:
            await self._known(named)
            await self.drains.undrain(named, act)
        return await self._message(await self._known(named))

    async def _states(self) -> Mapping[str, BackendState]:
        return {card.backend: BackendState(card.backend) for card in self.catalog()} | dict(await self.drains.states())

    async def _known(self, named: str) -> BackendState:
        """Returns a backend. Raises NotFound."""
        states = await self._states()
        if named not in states:
            raise NotFound("backend", f"backends/{named}", field="name")
        return states[named]

    async def _message(self, given: BackendState) -> backend_pb2.Backend:
        result = backend_pb2.Backend(
            name=f"backends/{given.name}",
            queued_jobs=given.queued,
            running_jobs=given.running,
            workers=[self._worker(each) for each in given.workers],
        )
        if given.drain is not None:
            result.drain.reason, result.drain.actor = given.drain.reason, given.drain.actor
            result.drain.create_time.CopyFrom(proto_values.timestamp(given.drain.create_time))
        elif (wait_s := await self.expected_wait_s(given.name)) is not None:
            result.expected_wait.CopyFrom(proto_values.duration(round(wait_s * 1000)))
        return result

    def _worker(self, given: BackendWorker) -> backend_pb2.Backend.Worker:
        readiness = backend_pb2.Backend.Worker.NOT_READY if given.obstacle else backend_pb2.Backend.Worker.READY
        if self.clock.now() - given.beat_time > timedelta(seconds=self.silent_s):
            readiness = backend_pb2.Backend.Worker.SILENT
        return backend_pb2.Backend.Worker(
            name=given.name,
            beat_time=proto_values.timestamp(given.beat_time),
            readiness=readiness,
            obstacle=given.obstacle,
        )
