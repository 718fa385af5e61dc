"""`/v1/jobs/{job}/events` and `/v1/usage/events`: events as they happen, as server-sent events or as lines."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from services.reasons import HttpReason
from services.studio.caller import Caller
from services.studio.refused_request import RefusedRequest
from services.studio.streams import event_frame, query
from services.studio.streams.api import StreamApi
from services.studio.streams.event_frame import Decode
from services.studio.streams.event_stream import HEADERS, EventStream, Form
from services.studio.streams.open_streams import End, OpenStreams
from services.studio.streams.resumed_watch import ResumedWatch

FORMATS = {"events": Form.EVENTS, "text": Form.LINES}
LAST_ID = "last-event-id"
AFTER = "lastEventId"
"""The parameter for clients that cannot set the header. The header counts if there are both: clients set it themselves
when they connect again to the same URL."""
REFUSED_S = 0.3
"""Seconds in which a refusal still becomes the status of the response, if there may be no event for long."""


@dataclass(frozen=True, slots=True)
class EventRoutes:
    """Answers the requests."""

    api: StreamApi
    streams: OpenStreams
    resumed: Callable[[], None]
    stall_s: float
    away_s: float

    async def of_job(self, request: Request, who: Caller) -> Response:
        """Sends a job's events after a number, to the last one. 204: there are no more."""
        query.demand_only(request, "format", AFTER)
        form, after = _form(request), _after(request)
        name = f"jobs/{request.path_params['job']}"
        job = await self.api.job(who, name)
        if after > job.last_sequence:
            raise _malformed(f"The job has {job.last_sequence} events, and none has the number {after}.")
        if job.HasField("end_time") and after == job.last_sequence:
            return Response(None, 204, HEADERS)
        decode = event_frame.line_of_job if form is Form.LINES else event_frame.of_job
        begin = partial(self.api.watch_job, who, name)
        return await self._stream(request, who, form, begin, decode, after, waits=after == job.last_sequence)

    async def of_usage(self, request: Request, who: Caller) -> Response:
        """Sends the state of the caller's limits, then its changes, without end."""
        query.demand_only(request)
        return await self._stream(
            request, who, Form.EVENTS, lambda _: self.api.watch_usage(who), event_frame.of_usage, 0, waits=False
        )

    async def _stream(
        self,
        request: Request,
        who: Caller,
        form: Form,
        begin: Callable[[int], Any],
        decode: Decode,
        after: int,
        *,
        waits: bool,
    ) -> Response:
        """Returns the stream. Raises ApiError for what the API refuses at once. `waits`: there may be no event now."""
        if request.method == "HEAD":
            return Response(None, 200, HEADERS, form)
        place = self.streams.enter(who)
        watch = ResumedWatch(begin, decode, after, self.away_s, self.resumed)
        place.stop = watch.stop
        first = asyncio.create_task(watch.read())
        try:
            await asyncio.wait({first}, timeout=REFUSED_S if waits else None)
            if first.done():
                first.result()
        except BaseException:
            first.cancel()
            watch.close()
            place.leave(End.FAILED)
            raise
        watch.begun = True
        return EventStream(watch, first, form, place, stall_s=self.stall_s)


def _form(request: Request) -> Form:
    asked = request.query_params.get("format", "events")
    if asked not in FORMATS:
        raise RefusedRequest("Give 'events' or 'text'.", reason=HttpReason.FIELD_MALFORMED, param="format")
    return FORMATS[asked]


def _after(request: Request) -> int:
    """Returns the number of the last event that the client has; 0: none. Raises RefusedRequest."""
    given = request.headers.get(LAST_ID, "").strip() or request.query_params.get(AFTER, "")
    if not given:
        return 0
    if not (given.isascii() and given.isdigit() and len(given) <= 18):
        raise _malformed("Give the id of the last event that you have: a whole number.")
    return int(given)


def _malformed(sentence: str) -> RefusedRequest:
    return RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param="Last-Event-ID")
