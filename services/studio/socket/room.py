"""Room: the connections of one caller, and the jobs that they follow. Nothing leaves it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from i2v.v1 import job_pb2

from services.reasons import SocketReason
from services.studio.api_error import ApiError
from services.studio.caller import Caller
from services.studio.refused_request import RefusedRequest
from services.studio.socket import refusal
from services.studio.socket.connection import Connection, End, Tab
from services.studio.socket.feed import Feed, frame_of, job_id
from services.studio.socket.follower import Follower
from services.studio.socket.frames import Frames
from services.studio.socket.server import Server
from services.studio.socket.socket_metrics import SocketMetrics
from services.studio.streams.api import StreamApi
from services.studio.streams.resumed_watch import ResumedWatch

log = logging.getLogger(__name__)

KEPT_S = 120.0
"""Seconds for which jobs and tabs wait for a connection that comes back."""
TABS_MOST = 100
JOBS_MOST = 50
"""Running jobs that a caller follows."""
QUEUED_MOST = 500
"""Packets that wait for a connection; one with more takes nothing, and is closed."""


class Parts(Protocol):
    """What all rooms share."""

    server: Server
    api: StreamApi
    frames: Frames
    metrics: SocketMetrics
    away_s: float


class Room:
    """A caller's connections, tabs and feeds."""

    def __init__(self, who: Caller, parts: Parts) -> None:
        self.who = who
        self._parts = parts
        self.connections: dict[str, Connection] = {}
        self._tabs: dict[str, Tab] = {}
        self._feeds: dict[str, Feed] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def running(self) -> int:
        """Returns how many followed jobs have not ended."""
        return sum(feed.ending is None for feed in self._feeds.values())

    def demand_place(self) -> None:
        """Raises RefusedRequest if no other job can be followed now."""
        if self.running >= JOBS_MOST:
            sentence = f"You follow {JOBS_MOST} running jobs, the most allowed. Wait until one ends."
            raise RefusedRequest(sentence, reason=SocketReason.SOCKET_JOBS_FULL)

    def feed(self, name: str) -> Feed | None:
        """Returns the feed of a job, if it is followed."""
        return self._feeds.get(name)

    def tab(self, name: str) -> Tab:
        """Returns a tab by its name; a new one if there is none."""
        if not name:
            return Tab()
        if name not in self._tabs:
            while len(self._tabs) >= TABS_MOST:
                self._tabs.pop(next(iter(self._tabs)))
            self._tabs[name] = Tab(name)
        return self._tabs[name]

    async def enter(self, connection: Connection, jobs: Mapping[str, int]) -> None:
        """Takes a connection in, and continues its jobs from these frames, or from where its tab was."""
        if connection.tab.name:
            for other in [each for each in self.connections.values() if each.tab is connection.tab]:
                self.leave(other)  # it is broken, and this process has not noticed yet
                await self._parts.server.end(other.sid)
        self.connections[connection.sid] = connection
        resumed = connection.tab.positions | dict(jobs)
        connection.tab.positions = {}
        for name, begin in resumed.items():
            try:
                await self.follow(connection, name, begin)
                self._parts.metrics.resumed.inc()
            except (ApiError, RefusedRequest) as error:
                await self._send(connection.sid, "error", refusal.of(error, job_id(name)), None)
        if connection.follows_all:
            for feed in [each for each in self._feeds.values() if each.ending is None]:
                await self._follow(connection, feed, 0)

    def leave(self, connection: Connection) -> None:
        """Forgets a connection. Its tab keeps where it was."""
        if self.connections.pop(connection.sid, None) is None:
            return
        for name, follower in connection.followers.items():
            connection.tab.positions[name] = follower.position
            follower.close()
        connection.followers = {}

    async def follow(self, connection: Connection, name: str, begin: int) -> None:
        """Lets a connection follow a job of the caller from a frame. Raises ApiError, RefusedRequest."""
        feed = self._feeds.get(name)
        if feed is None:
            self.demand_place()
            feed = self.add(await self._parts.api.job(self.who, name))
        await self._follow(connection, feed, begin)

    async def start(self, connection: Connection, job: job_pb2.Job) -> None:
        """Lets all connections that follow everything, and the one that started it, follow a new job."""
        feed = self._feeds.get(job.name) or self.add(job)
        for each in list(self.connections.values()):
            if each is connection or each.follows_all:
                await self._follow(each, feed, 0)

    def add(self, job: job_pb2.Job) -> Feed:
        """Begins to read the events of a job."""
        parts = self._parts
        watch = ResumedWatch(
            lambda after: parts.api.watch_job(self.who, job.name, after), frame_of, 0, parts.away_s, lambda: None
        )
        self._feeds[job.name] = Feed(self.who, job, watch, self._say)
        return self._feeds[job.name]

    async def end(self, connections: Iterable[Connection], end: End) -> None:
        """Closes connections."""
        for each in list(connections):
            each.end = end
            await self._parts.server.end(each.sid)

    def close(self) -> None:
        """Stops reading."""
        for connection in list(self.connections.values()):
            self.leave(connection)
        for timer in self._timers.values():
            timer.cancel()
        for feed in self._feeds.values():
            feed.close()
        self._feeds.clear()

    async def _follow(self, connection: Connection, feed: Feed, begin: int) -> None:
        if feed.name in connection.followers or connection.sid not in self.connections:
            return
        if (timer := self._timers.pop(feed.name, None)) is not None:
            timer.cancel()
        parts, sid = self._parts, connection.sid
        connection.followers[feed.name] = Follower(
            feed,
            begin,
            self._to(sid),
            connection.pace,
            parts.frames,
            parts.metrics,
            away_s=parts.away_s,
            ended=lambda: self._done(connection, feed.name),
        )
        await parts.server.enter_room(sid, feed.room)
        await self._send(sid, "progress", feed.progress, None)

    def _done(self, connection: Connection, name: str) -> None:
        """Stops reading a job some time after its last follower has gone."""
        connection.followers.pop(name, None)
        feed = self._feeds.get(name)
        if feed is not None and feed.followers == 0 and name not in self._timers:
            self._timers[name] = asyncio.get_running_loop().call_later(KEPT_S, self._drop, name)

    def _drop(self, name: str) -> None:
        self._timers.pop(name, None)
        feed = self._feeds.pop(name, None)
        if feed is not None:
            feed.close()

    async def _say(self, event: str, data: Any, room: str) -> None:
        for connection in list(self.connections.values()):
            if self._parts.server.waiting(connection.sid) > QUEUED_MOST:
                await self.end([connection], End.SLOW)
        await self._parts.server.emit(event, data, room=room)

    def _to(self, sid: str) -> Any:
        async def send(event: str, data: Any, noted: Callable[[], None] | None) -> None:
            await self._send(sid, event, data, noted)

        return send

    async def _send(self, sid: str, event: str, data: Any, noted: Callable[[], None] | None) -> None:
        callback = None if noted is None else (lambda *_: noted())
        await self._parts.server.emit(event, data, to=sid, callback=callback)
