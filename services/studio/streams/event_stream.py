"""EventStream: a response that sends what a watch reads, until it ends, its reader goes, or the process stops."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from enum import StrEnum

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Message, Receive, Scope, Send

from services.studio import problem
from services.studio.api_error import ApiError
from services.studio.http_connection import abort
from services.studio.streams.event_frame import EventFrame
from services.studio.streams.open_streams import End, Place
from services.studio.streams.resumed_watch import ResumedWatch

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 15
RETRY_MS = 2000
"""Milliseconds after which a client connects again."""
AFTER_LAST_S = 0.2
"""Seconds between the last event and the end of its stream. To end a stream is much more work than to send an event: so
the last events of others come first."""
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Accel-Buffering": "no"}


class Form(StrEnum):
    """How events are written."""

    EVENTS = "text/event-stream"
    LINES = "text/plain"


class EventStream(EventSourceResponse):
    """Sends the frames of a watch. Memory holds one frame and what the connection buffers."""

    def __init__(
        self,
        watch: ResumedWatch,
        first: asyncio.Task[EventFrame | None],
        form: Form,
        place: Place,
        *,
        stall_s: float,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        """`first` reads the first frame. `place` is left when the stream has ended."""
        self._watch, self._first, self._form, self._place, self._stall_s = watch, first, form, place, stall_s
        self._end = End.LEFT
        self._sending_s: float | None = None
        """Since when the connection takes nothing of what is sent; None: nothing is being sent."""
        super().__init__(
            self._frames(),
            headers=HEADERS,
            media_type=form,
            ping=keep_alive_s if form is Form.EVENTS else 0,
            sep="\n",
            ping_message_factory=lambda: ServerSentEvent(comment="keep-alive", sep="\n"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        self._loop = loop = asyncio.get_running_loop()

        async def watched(message: Message) -> None:
            if self._sending_s is None:  # a comment may wait behind an event
                self._sending_s = loop.time()
            await send(message)
            self._sending_s = None

        self._timer = loop.call_later(self._stall_s / 2, self._look, scope)
        try:
            await super().__call__(scope, receive, watched)
        finally:
            self._timer.cancel()
            if not self._first.cancel() and not self._first.cancelled():
                self._first.exception()  # a reader that went before may not have seen it; asyncio would report it
            self._watch.close()
            self._place.leave(self._end)
            log.info("an event stream ended", extra={"outcome": self._end, "sequence": self._watch.after})

    async def _frames(self) -> AsyncGenerator[bytes, None]:
        if self._form is Form.EVENTS:
            yield ServerSentEvent(retry=RETRY_MS, comment="stream open", sep="\n").encode()
        try:
            frame = await self._first
            while frame is not None:
                yield frame.data
                if frame.last:
                    self._end = End.COMPLETE
                    await asyncio.sleep(AFTER_LAST_S)
                    return
                frame = await self._watch.read()
            self._end = End.STOPPED
        except ApiError as error:
            self._end = End.FAILED
            yield self._problem(bytes(problem.of_failure(error.failure).body))

    def _look(self, scope: Scope) -> None:
        """Breaks off a connection that takes nothing. One timer: a time limit for each message would be much work."""
        if self._sending_s is not None and self._loop.time() - self._sending_s >= self._stall_s:
            self._end = End.SLOW
            abort(scope)
        self._timer = self._loop.call_later(self._stall_s / 2, self._look, scope)

    def _problem(self, body: bytes) -> bytes:
        """Returns what ends a stream that cannot go on."""
        if self._form is Form.LINES:
            return f"The stream ended: {json.loads(body)['detail']}\n".encode()
        return ServerSentEvent(body.decode(), event="error", sep="\n").encode()
