"""The servicer of `grpc.health.v1`. Messages and wiring are those of grpcio-health-checking.

The library's own servicer drops the condition that all watchers of a name wait on as soon as one of them leaves (1.81
to 1.85), and the others get no further updates; a client that balances by health would keep a server that does not
serve.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from grpc_health.v1 import health_pb2

from services.errors import NotFound

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class HealthService:
    """Reports which services are served, once and as a stream."""

    def __init__(self, names: Iterable[str]) -> None:
        self._status = dict.fromkeys(names, NOT_SERVING)
        self._changed = asyncio.Condition()
        self._over = False

    async def set(self, name: str, *, serving: bool) -> None:
        """Sets whether a name is served. Without effect after `shut_down`."""
        if not self._over:
            await self._put(name, SERVING if serving else NOT_SERVING)

    async def shut_down(self) -> None:
        """Reports NOT_SERVING for every name from now on."""
        self._over = True
        for name in self._status:
            await self._put(name, NOT_SERVING)

    async def _put(self, name: str, status: int) -> None:
        async with self._changed:
            self._status[name] = status
            self._changed.notify_all()

    async def Check(self, request: Any, context: Any) -> Any:
        """Returns the status of one service. Raises NotFound."""
        if request.service not in self._status:
            raise NotFound("service", request.service)
        return health_pb2.HealthCheckResponse(status=self._status[request.service])

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Yields the status of one service now, and whenever it changes."""
        reported = None
        while True:
            async with self._changed:
                while (status := self._status.get(request.service, SERVICE_UNKNOWN)) == reported:
                    await self._changed.wait()
            reported = status
            yield health_pb2.HealthCheckResponse(status=reported)
