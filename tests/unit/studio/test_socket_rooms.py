"""The jobs that a caller's connections follow."""

import asyncio
from typing import Any

from i2v.v1 import job_pb2
from prometheus_client import CollectorRegistry

from services.studio.caller import Caller
from services.studio.socket.connection import Connection, Tab
from services.studio.socket.room import Room
from services.studio.socket.socket_metrics import SocketMetrics


class Silent:
    """What a room needs: jobs that say nothing, and a connection that hears everything."""

    def __init__(self) -> None:
        self.server = self.api = self
        self.frames, self.metrics, self.away_s = None, SocketMetrics(CollectorRegistry()), 1.0
        self.said: list[tuple[str, Any]] = []

    async def emit(self, event: str, data: Any, **to: Any) -> None:
        self.said.append((event, data))

    async def enter_room(self, sid: str, room: str) -> None:
        pass

    async def job(self, who: Caller, name: str) -> job_pb2.Job:
        return job_pb2.Job(name=name)

    def watch_job(self, who: Caller, name: str, after: int) -> "Silent":
        return self

    async def read(self) -> bytes:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    def cancel(self) -> None:
        pass


async def test_a_handshake_follows_no_more_jobs_than_events_may() -> None:
    parts: Any = Silent()
    room = Room(Caller((("authorization", "Bearer key"),)), parts)
    connection = Connection("sid", Tab(), follows_all=False, waiting=lambda: 0)
    await room.enter(connection, {f"jobs/{number}": 0 for number in range(51)})
    refused = [(data["reason"], data["job_id"]) for event, data in parts.said if event == "error"]
    assert (room.running, refused) == (50, [("SOCKET_JOBS_FULL", "50")])
    room.close()
