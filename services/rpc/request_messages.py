"""The messages that a caller sends in one call: each has a time limit, and is parsed and checked here.

gRPC passes requests on as bytes, so nothing is parsed before the caller is known, and a message that cannot be parsed
is refused like any other invalid request.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from services.errors import InvalidInput, ServiceError, Unavailable, Violation
from services.reasons import CallReason, Reason

CANCEL_S = 0.05
"""Seconds between the end of a call's messages and its cancel, at most."""


class RequestMessages:
    """The caller's messages, as an async iterator.

    Reading raises InvalidInput for a message that cannot be parsed or does not pass the check, and Unavailable when
    none comes in time.
    """

    __slots__ = ("_check", "_context", "_first", "_next_message_s", "_parse", "_received", "_rejected", "_timeout_s")

    def __init__(
        self,
        context: Any,
        parse: Callable[[bytes], Any] | None,
        *,
        check: Callable[[Any], None] | None,
        received: Callable[[int], None],
        rejected: Callable[[str], None],
        first_message_s: float,
        next_message_s: float,
    ) -> None:
        self._context = context
        self._parse = parse
        self._check = check
        self._received = received
        self._rejected = rejected
        self._timeout_s = first_message_s
        self._next_message_s = next_message_s
        self._first = True

    async def single(self) -> Any:
        """Returns the message of a call that has exactly one."""
        message = await self._read()
        if message is grpc.aio.EOF:
            # A call that its caller cancelled, or that gRPC refused for its size, ends like this too; a cancel follows.
            await asyncio.sleep(CANCEL_S)
            raise self._refusal(
                _invalid("is missing; this method takes one message", reason=CallReason.REQUEST_MISSING)
            )
        return message

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        message = await self._read()
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        return message

    async def _read(self) -> Any:
        """Returns the next message, or grpc.aio.EOF."""
        try:
            async with asyncio.timeout(self._timeout_s):
                data = await self._context.read()
        except TimeoutError:
            raise self._refusal(self._late()) from None
        if data is grpc.aio.EOF:
            return data
        self._received(len(data))
        self._timeout_s, self._first = self._next_message_s, False
        try:
            message = data if self._parse is None else self._parse(data)
        except Exception:
            what = "is not a message of this method: it cannot be parsed. Make it with the service's protos"
            raise self._refusal(_invalid(what, reason=CallReason.REQUEST_MALFORMED)) from None
        if self._check is not None:
            try:
                self._check(message)
            except ServiceError as error:
                raise self._refusal(error) from None
        return message

    def _late(self) -> Unavailable:
        if self._first:
            what = f"No message came within {self._timeout_s:g} s of the call. Send it with the call."
            return Unavailable(what, reason=CallReason.REQUEST_LATE)
        return Unavailable(f"No message came for {self._timeout_s:g} s. Call again.", reason=CallReason.SENDER_STALLED)

    def _refusal(self, error: ServiceError) -> ServiceError:
        self._rejected(error.reason)
        return error


def _invalid(description: str, reason: Reason) -> InvalidInput:
    return InvalidInput([Violation("request", description, reason)], reason=reason)
