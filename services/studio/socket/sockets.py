"""Sockets: the events of clients, and the rooms of callers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from i2v.v1 import job_pb2
from socketio.exceptions import ConnectionRefusedError as RefusedConnection

from services.reasons import HttpReason, SocketReason
from services.studio.api_error import ApiError
from services.studio.caller import Caller
from services.studio.idempotency import request_id
from services.studio.refused_request import RefusedRequest
from services.studio.sessions.session_cookie import SessionCookie
from services.studio.socket import fields_of_event, generation, handshake, page_session, picture, refusal
from services.studio.socket.connection import Connection, End
from services.studio.socket.feed import job_id
from services.studio.socket.frames import Frames
from services.studio.socket.handshake import Handshake
from services.studio.socket.room import KEPT_S, Room
from services.studio.socket.server import Server
from services.studio.socket.socket_metrics import SocketMetrics
from services.studio.statuses import STATUSES
from services.studio.streams.api import StreamApi
from services.studio.videos import job_spec
from services.studio.videos.api import Api

log = logging.getLogger(__name__)

WAITING_MOST = 50
"""Events of a connection that wait for their turn."""
HELD_BYTES_MOST = 120 * 2**20
"""Of all pictures that wait for theirs."""
CHECK_S = 30.0
"""Seconds between two looks at whether a caller's key still holds."""
SIGNED_OUT = (401, 403)

Handler = Callable[[Room, Connection, Mapping[str, Any]], Awaitable[dict[str, Any]]]


class Sockets:
    """Answers the events. Each answer goes to the connection, or to the room of its caller."""

    def __init__(
        self,
        api: Api,
        stream_api: StreamApi,
        frames: Frames,
        metrics: SocketMetrics,
        *,
        origins: list[str],
        cookie: SessionCookie,
        caller_sockets: int,
        away_s: float,
    ) -> None:
        self._api, self.api, self.frames, self.metrics, self.away_s = api, stream_api, frames, metrics, away_s
        self._cookie, self._caller_sockets = cookie, caller_sockets
        self.server = Server(origins, self._entered, self._left)
        self.server.on("connect", self._connect)
        self.server.on("*", self._event)
        self._rooms: dict[Caller, Room] = {}
        self._timers: dict[Caller, asyncio.TimerHandle] = {}
        self._coming: dict[str, Handshake] = {}
        self._connections: dict[str, tuple[Room, Connection]] = {}
        self._held = 0
        self._handlers: dict[str, Handler] = {
            "set_mode": self._set_mode,
            "upload_image": self._upload_image,
            "start_generation": self._start_generation,
            "stop_generation": self._stop_generation,
            "resume": self._resume,
        }
        self._checks = asyncio.create_task(self._check_callers(), name="socket-callers")

    async def close(self) -> None:
        """Closes all connections: their clients connect again, to another process."""
        self._checks.cancel()
        for timer in self._timers.values():
            timer.cancel()
        for room in list(self._rooms.values()):
            await room.end(room.connections.values(), End.STOPPED)
            room.close()
        self._rooms.clear()
        self.frames.close()
        await self.server.shutdown()

    async def _connect(self, sid: str, environ: Any, auth: Any = None) -> None:
        try:
            hello = handshake.read(auth, lambda: page_session.token_of(environ["asgi.scope"], self._cookie))
            self._demand_place(hello.caller)
            await self._api.check(hello.caller)
            self._demand_place(hello.caller)
        except (ApiError, RefusedRequest) as error:
            said = refusal.of(error)
            log.info("a connection is refused", extra={"reason": said["reason"]})
            raise RefusedConnection(said["message"], said) from error
        self._coming[sid] = hello

    async def _entered(self, sid: str) -> None:
        hello = self._coming.pop(sid)
        room = self._rooms.setdefault(hello.caller, Room(hello.caller, self))
        if (timer := self._timers.pop(hello.caller, None)) is not None:
            timer.cancel()
        connection = Connection(
            sid, room.tab(hello.tab), follows_all=hello.follows_all, waiting=lambda: self.server.waiting(sid)
        )
        self._connections[sid] = room, connection
        self.metrics.open.inc()
        await room.enter(connection, hello.jobs)

    async def _left(self, sid: str) -> None:
        self._coming.pop(sid, None)
        found = self._connections.pop(sid, None)
        if found is None:
            return
        room, connection = found
        room.leave(connection)
        self.metrics.open.dec()
        self.metrics.ended.labels(connection.end).inc()
        log.info("a connection ended", extra={"outcome": connection.end})
        if not room.connections and self._rooms.get(room.who) is room:
            loop = asyncio.get_running_loop()
            self._timers[room.who] = loop.call_later(KEPT_S, self._drop, room.who)

    async def _event(self, name: str, sid: str, *arguments: Any) -> dict[str, Any] | None:
        """Handles an event. What it returns acknowledges it."""
        if sid not in self._connections:
            return None
        room, connection = self._connections[sid]
        size = fields_of_event.size((name, *arguments))
        try:
            self._demand_pace(connection, size)
        except RefusedRequest as error:
            if connection.meter.is_exhausted:
                await room.end([connection], End.FLOOD)
                return None
            return await self._refuse(connection, name, error, {})
        self._held += size
        connection.waiting += 1
        try:
            async with connection.turn:
                return await self._handle(room, connection, name, arguments)
        finally:
            connection.waiting -= 1
            self._held -= size

    async def _handle(
        self, room: Room, connection: Connection, name: str, arguments: tuple[Any, ...]
    ) -> dict[str, Any] | None:
        fields: Mapping[str, Any] = {}
        try:
            handler = self._handlers.get(name)
            if handler is None:
                sentence = f"There is no event {name[:80]!r}; there are {', '.join(self._handlers)}."
                raise RefusedRequest(sentence, reason=SocketReason.EVENT_UNKNOWN)
            if len(arguments) > 1 or (arguments and not isinstance(arguments[0], dict | None)):
                raise RefusedRequest("Send one object with the fields.", reason=SocketReason.EVENT_MALFORMED)
            fields = (arguments[0] if arguments else None) or {}
            answer = await handler(room, connection, fields)
        except (ApiError, RefusedRequest) as error:
            return await self._refuse(connection, name, error, fields)
        except Exception:
            log.exception("an event failed", extra={"what": name})
            said = refusal.of_failure(refusal.INTERNAL)
            self.metrics.events.labels(name, "failed").inc()
            await self.server.emit("error", said, to=connection.sid)
            return {"error": said}
        self.metrics.events.labels(name, "done").inc()
        connection.warned = False
        return answer

    async def _refuse(
        self, connection: Connection, name: str, error: ApiError | RefusedRequest, fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        named = fields.get("job_id")
        said = refusal.of(error, job_id(named)[:128] if isinstance(named, str) else "")
        self.metrics.events.labels(name if name in self._handlers else "other", "refused").inc()
        too_fast = said["reason"] == SocketReason.EVENTS_TOO_FAST
        if not (too_fast and connection.warned):
            await self.server.emit("error", said, to=connection.sid)
        connection.warned = too_fast
        return {"error": said}

    async def _set_mode(self, room: Room, connection: Connection, fields: Mapping[str, Any]) -> dict[str, Any]:
        fields_of_event.demand_only(fields, "mode")
        connection.tab.mode = generation.mode_of(fields.get("mode"))
        said = {"mode": connection.tab.mode}
        await self.server.emit("mode_changed", said, to=connection.sid)
        return said

    async def _upload_image(self, room: Room, connection: Connection, fields: Mapping[str, Any]) -> dict[str, Any]:
        fields_of_event.demand_only(fields, picture.FIELD)
        data = await asyncio.to_thread(picture.read, fields.get(picture.FIELD))
        asset = await self._api.asset(room.who, await self._api.upload(room.who, data))
        connection.tab.picture = asset.name
        said = {
            "message": "Image uploaded",
            "size": [asset.size.width, asset.size.height],
            "size_bytes": asset.size_bytes,
            "image": asset.name,
        }
        await self.server.emit("image_uploaded", said, to=connection.sid)
        return said

    async def _start_generation(self, room: Room, connection: Connection, fields: Mapping[str, Any]) -> dict[str, Any]:
        asked = generation.read(fields, connection.tab.mode, connection.tab.picture)
        room.demand_place()
        wanted, model = asked.wanted, None
        if not wanted.model:
            model = job_spec.choose(await self._api.models(room.who), with_picture=bool(wanted.asset))
        elif wanted.size or asked.fast:
            model = await self._api.model(room.who, wanted.model)
        spec = job_spec.spec(wanted, model, wanted.asset)
        if asked.fast and model is not None and job_pb2.JobSpec.FAST in model.qualities:
            spec.quality = job_pb2.JobSpec.FAST
        request = job_pb2.SubmitJobRequest(request_id=request_id(asked.key), spec=spec)
        job = await self._api.submit(room.who, request)
        connection.tab.note_start(job.name)
        said = {"message": "Generation started", "job_id": job_id(job.name)}
        await self.server.emit("status", said, to=connection.sid)
        await room.start(connection, job)
        return {"job_id": said["job_id"]}

    async def _stop_generation(self, room: Room, connection: Connection, fields: Mapping[str, Any]) -> dict[str, Any]:
        fields_of_event.demand_only(fields, "job_id")
        if fields.get("job_id") is not None:
            name = handshake.job_of(fields["job_id"])
        else:
            name = next((each for each in reversed(connection.tab.started) if _runs(room, each)), "")
            if not name:
                sentence = "This connection has started no job that still runs."
                raise RefusedRequest(sentence, reason=SocketReason.NOTHING_TO_STOP)
        await self._api.cancel(room.who, name)
        return {"job_id": job_id(name)}

    async def _resume(self, room: Room, connection: Connection, fields: Mapping[str, Any]) -> dict[str, Any]:
        fields_of_event.demand_only(fields, "job_id", "frame_index")
        name, begin = handshake.job_of(fields.get("job_id")), handshake.next_frame(fields.get("frame_index"))
        await room.follow(connection, name, begin)
        self.metrics.resumed.inc()
        return {"job_id": job_id(name)}

    def _demand_place(self, who: Caller) -> None:
        """Raises RefusedRequest if a caller has as many connections as are allowed."""
        coming = sum(hello.caller == who for hello in self._coming.values())
        if coming + len(self._rooms[who].connections if who in self._rooms else ()) >= self._caller_sockets:
            sentence = f"You have {self._caller_sockets} connections open here, the most allowed. Close some of them."
            raise RefusedRequest(sentence, reason=SocketReason.CALLER_SOCKETS_FULL)

    def _demand_pace(self, connection: Connection, size: int) -> None:
        """Raises RefusedRequest for an event that comes too fast."""
        if not connection.meter.take() or connection.waiting >= WAITING_MOST:
            sentence = "Events come faster than they are taken. This one was dropped."
            raise RefusedRequest(sentence, reason=SocketReason.EVENTS_TOO_FAST)
        if self._held + size > HELD_BYTES_MOST:
            sentence = "Too many pictures arrive now. Try again in a moment."
            raise RefusedRequest(sentence, reason=HttpReason.BODIES_FULL)

    def _drop(self, who: Caller) -> None:
        self._timers.pop(who, None)
        room = self._rooms.get(who)
        if room is not None and not room.connections:
            del self._rooms[who]
            room.close()

    async def _check_callers(self) -> None:
        """Looks, again and again, whether the keys of open connections still hold."""
        while True:
            await asyncio.sleep(CHECK_S)
            for room in [each for each in self._rooms.values() if each.connections]:
                with suppress(ApiError):
                    await self._check_caller(room)

    async def _check_caller(self, room: Room) -> None:
        try:
            await self._api.check(room.who)
        except ApiError as error:
            if STATUSES.get(error.failure.code) not in SIGNED_OUT:
                raise
            for connection in list(room.connections.values()):
                await self.server.emit("error", refusal.of(error), to=connection.sid)
            await room.end(room.connections.values(), End.REFUSED)
            room.close()
            self._rooms.pop(room.who, None)


def _runs(room: Room, name: str) -> bool:
    feed = room.feed(name)
    return feed is not None and feed.ending is None
