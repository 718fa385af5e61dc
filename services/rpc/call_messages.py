"""The messages of one call, in both directions: each has a time limit, and requests are parsed and checked here.

gRPC passes requests on as bytes, so nothing is parsed before the caller is known, and a message that cannot be parsed
is refused like any other invalid request.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, closing
from typing import Any

import grpc

from services.errors import InvalidInput, ServiceError, Unavailable, Violation

Context = Any
"""grpc.aio's ServicerContext."""
Handler = Any
"""grpc.RpcMethodHandler of any two messages."""
CANCEL_S = 0.05
"""Seconds between the end of a call's messages and its cancel, at most."""


class Requests:
    """The caller's messages, as an async iterator; or by `read`, which returns grpc.aio.EOF at the end.

    Reading raises InvalidInput for a message that cannot be parsed or does not pass the check, and Unavailable when
    none comes in time.
    """

    __slots__ = ("_check", "_context", "_first", "_next_s", "_parse", "_patience_s", "_received", "_rejected")

    def __init__(
        self,
        context: Context,
        parse: Callable[[bytes], Any] | None,
        *,
        check: Callable[[Any], None] | None,
        received: Callable[[], None],
        rejected: Callable[[str], None],
        first_message_s: float,
        next_message_s: float,
    ) -> None:
        self._context = context
        self._parse = parse
        self._check = check
        self._received = received
        self._rejected = rejected
        self._patience_s = first_message_s
        self._next_s = next_message_s
        self._first = True

    async def read(self) -> Any:
        """Returns the next message."""
        try:
            async with asyncio.timeout(self._patience_s):
                data = await self._context.read()
        except TimeoutError:
            raise self._refusal(self._late()) from None
        if data is grpc.aio.EOF:
            return data
        self._received()
        self._patience_s, self._first = self._next_s, False
        try:
            message = data if self._parse is None else self._parse(data)
        except Exception:
            what = "is not a message of this method: it cannot be parsed. Make it with the service's protos"
            raise self._refusal(_refuse(what, "REQUEST_MALFORMED")) from None
        if self._check is not None:
            try:
                self._check(message)
            except ServiceError as error:
                raise self._refusal(error) from None
        return message

    async def one(self) -> Any:
        """Returns the message of a call that has exactly one."""
        message = await self.read()
        if message is grpc.aio.EOF:
            # A call that its caller cancelled, or that gRPC refused for its size, ends like this too; a cancel follows.
            await asyncio.sleep(CANCEL_S)
            raise self._refusal(_refuse("is missing; this method takes one message", "REQUEST_MISSING"))
        return message

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        message = await self.read()
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        return message

    def _late(self) -> Unavailable:
        if self._first:
            what = f"No message came within {self._patience_s:g} s of the call. Send it with the call."
            return Unavailable(what, reason="REQUEST_LATE")
        return Unavailable(f"No message came for {self._patience_s:g} s. Call again.", reason="SENDER_STALLED")

    def _refusal(self, error: ServiceError) -> ServiceError:
        self._rejected(error.reason)
        return error


Run = Callable[[Requests, Context], Awaitable[Any]]


class CallContext:
    """A context that reads from `Requests`; its writes are counted and have a time limit."""

    def __init__(
        self,
        context: Context,
        requests: Requests,
        *,
        sent: Callable[[], None],
        rejected: Callable[[str], None],
        taking_s: float,
    ) -> None:
        self._context = context
        self._sent = sent
        self._rejected = rejected
        self._taking_s = taking_s
        self._begun = False
        self._limit: _WriteLimit | None = None
        self.read = requests.read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, message: Any) -> None:
        """Sends a message. Raises Unavailable when the caller takes nothing for too long."""
        if not self._begun:
            self._begun = True
            await self._begin()
        if self._limit is None:
            self._limit = _WriteLimit(self._taking_s)
        self._limit.since = self._limit.now()
        try:
            await self._context.write(message)
        except asyncio.CancelledError:
            if not self._limit.was_reached():
                raise
            self._rejected("READER_STALLED")
            what = (
                f"The caller took nothing from this stream for {self._taking_s:g} s. Call again from where it stopped."
            )
            raise Unavailable(what, reason="READER_STALLED") from None
        finally:
            self._limit.since = None
        self._sent()

    def close(self) -> None:
        """Ends the time limit of writes."""
        if self._limit is not None:
            self._limit.close()

    async def _begin(self) -> None:
        """Sends the headers separately, and always waits for that.

        gRPC would send them with the first message. While the caller does not take that message, a status could not be
        sent, and the call would end only with its connection.
        """
        sending = asyncio.ensure_future(self._context.send_initial_metadata(()))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            await asyncio.wait({sending})
            raise


class _WriteLimit:
    """Cancels the current task when one of its writes takes too long.

    One timer serves all writes of a stream: a new one for each message would cost a tenth of a stream's time.
    """

    __slots__ = ("_cancelling", "_limit_s", "_reached", "_task", "_timer", "now", "since")

    def __init__(self, limit_s: float) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self.now = loop.time
        self.since: float | None = None
        """When the write that is under way began; None between two writes."""
        self._task = task
        self._cancelling = task.cancelling()
        self._limit_s = limit_s
        self._reached = False
        self._timer = loop.call_later(limit_s, self._look)

    def was_reached(self) -> bool:
        """Says whether this limit alone cancelled the task. Takes the cancel back."""
        return self._reached and self._task.uncancel() <= self._cancelling

    def close(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        now = self.now()
        left_s = self._limit_s if self.since is None else self.since + self._limit_s - now
        if left_s <= 0:
            self._reached = True
            self._task.cancel()
        else:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._look)


def running(handler: Handler, *, sent: Callable[[], None], rejected: Callable[[str], None], taking_s: float) -> Run:
    """Returns a function that runs a method of any kind, given the caller's messages and the context of the call."""
    streaming = handler.request_streaming
    inner: Callable[[Any, Context], Any] = {
        (False, False): handler.unary_unary,
        (True, False): handler.stream_unary,
        (False, True): handler.unary_stream,
        (True, True): handler.stream_stream,
    }[streaming, handler.response_streaming]

    def wrapped(requests: Requests, context: Context) -> CallContext:
        return CallContext(context, requests, sent=sent, rejected=rejected, taking_s=taking_s)

    async def unary(requests: Requests, context: Context) -> Any:
        request = requests if streaming else await requests.one()
        response = await inner(request, wrapped(requests, context) if streaming else context)
        sent()
        return response

    async def generates(requests: Requests, context: Context) -> None:
        request = requests if streaming else await requests.one()
        with closing(wrapped(requests, context)) as context:
            async with aclosing(inner(request, context)) as responses:
                async for response in responses:
                    await context.write(response)

    async def writes(requests: Requests, context: Context) -> None:
        request = requests if streaming else await requests.one()
        with closing(wrapped(requests, context)) as context:
            await inner(request, context)

    if not handler.response_streaming:
        return unary
    return generates if inspect.isasyncgenfunction(inner) else writes


def _refuse(description: str, reason: str) -> InvalidInput:
    return InvalidInput([Violation("request", description, reason)], reason=reason)
