"""What happens around every call, once for every kind of method: id, metrics, deadline, key, errors, log line.

It is one interceptor with one wrapped handler a method, not a chain, because each link would cost every message of
every stream. Servicers catch nothing: they raise from `services.errors`, and here alone that becomes a status. A
cancelled call is counted as such and its CancelledError goes on.
"""

import asyncio
import inspect
import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from time import perf_counter
from typing import Any, NoReturn

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from services.errors import DeadlineTooShort, Unavailable
from services.rpc import auth, logs
from services.rpc.status import to_status
from services.rpc.telemetry import CODE_NAMES, KINDS, MethodMetrics, ServerMetrics

log = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
REQUEST_ID_FORM = re.compile(r"[!-~]{1,128}")

CANCELED = CODE_NAMES[grpc.StatusCode.CANCELLED.value[0]]
DEADLINE_EXCEEDED = CODE_NAMES[grpc.StatusCode.DEADLINE_EXCEEDED.value[0]]

Context = Any
"""grpc.aio's ServicerContext, or a stand-in that counts."""
Handler = Any
"""grpc.RpcMethodHandler of any two messages."""
Behaviour = Callable[[Any, Context], Any]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every method of a server."""

    def __init__(
        self,
        metrics: ServerMetrics,
        *,
        verify: auth.Verify | None,
        endless: Collection[str] = (),
        least_time_s: float = 0.005,
    ) -> None:
        """Without `verify` every method is open. `endless` methods are ended by `end_streams`."""
        self._metrics = metrics
        self._verify = verify
        self._endless = frozenset(endless)
        self._least_time_s = least_time_s
        self._wrapped: dict[str, Handler] = {}
        self._streams: set[asyncio.Task[Any]] = set()
        self._ending = False

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Returns the method's wrapped handler, made at its first call; nothing for a method that is not served."""
        method = handler_call_details.method
        known = self._wrapped.get(method)
        if known is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            known = self._wrapped[method] = self._wrap(method, handler)
        return known

    def end_streams(self) -> None:
        """Ends every endless stream with UNAVAILABLE, now and from now on, so that its client resumes elsewhere."""
        self._ending = True
        for stream in self._streams:
            stream.cancel()

    def _wrap(self, method: str, handler: Handler) -> Handler:
        kind = KINDS[handler.request_streaming, handler.response_streaming]
        metrics = self._metrics.method(method, kind)
        verify = None if auth.is_open(method) else self._verify
        endless = method in self._endless or auth.is_open(method)
        run = _runs(handler, metrics)

        async def answer(request: Any, context: Context) -> Any:
            return await self._answer(method, metrics, verify, endless, run, request, context)

        wrap, codecs = _WRAPPERS[kind], (handler.request_deserializer, _serializer(handler))
        return wrap(answer, *codecs)

    async def _answer(
        self,
        method: str,
        metrics: MethodMetrics,
        verify: auth.Verify | None,
        endless: bool,
        run: Behaviour,
        request: Any,
        context: Context,
    ) -> Any:
        began = perf_counter()
        metrics.started.inc()
        if metrics.open is not None:
            metrics.open.inc()
        task = asyncio.current_task()
        stream = task if endless and metrics.open is not None else None
        metadata = dict(context.invocation_metadata())
        request_id = _request_id(metadata)
        logs.bind(request_id=request_id)
        context.set_trailing_metadata(((REQUEST_ID, request_id),))
        code = CANCELED
        try:
            self._check_time(context)
            if verify is not None:
                who = await auth.authenticate(metadata, verify)
                logs.bind(tenant=who.tenant, user=who.user)
            if stream is not None:
                self._admit(stream)
            response = await run(request, context)
            code = _code(context)
            return response
        except grpc.aio.AbortError:
            code = _code(context)
            raise
        except asyncio.CancelledError as error:
            ours = self._ending and stream in self._streams
            if task is None or (task.uncancel() if ours else task.cancelling()):
                if context.time_remaining() == 0:
                    code = DEADLINE_EXCEEDED
                raise  # The caller is gone.
            status = to_status(_going_down() if ours else error)
            code = CODE_NAMES[status.code]
            await _abort(context, status, request_id)
        except Exception as error:
            if isinstance(error, grpc.aio.BaseError) and not isinstance(error, grpc.aio.UsageError):
                raise  # The connection broke while we wrote.
            status = to_status(error)
            code = CODE_NAMES[status.code]
            await _abort(context, status, request_id)
        finally:
            if stream is not None:
                self._streams.discard(stream)
            took_s = perf_counter() - began
            metrics.handled(code)
            metrics.seconds.observe(took_s)
            if metrics.open is not None:
                metrics.open.dec()
            level = logging.DEBUG if auth.is_open(method) else logging.INFO
            if log.isEnabledFor(level):
                log.log(level, "answered", extra={"method": method, "code": code, "ms": round(took_s * 1000, 2)})

    def _check_time(self, context: Context) -> None:
        left_s = context.time_remaining()
        if left_s is not None and left_s < self._least_time_s:
            raise DeadlineTooShort(metadata={"left_ms": str(round(left_s * 1000))})

    def _admit(self, stream: asyncio.Task[Any]) -> None:
        if self._ending:
            raise _going_down()
        self._streams.add(stream)


def _serializer(handler: Handler) -> Callable[[Any], bytes]:
    """Returns a method's serializer, which leaves bytes as they are: what goes to many callers is encoded once."""
    serialize: Callable[[Any], bytes] = handler.response_serializer
    return lambda response: response if isinstance(response, bytes) else serialize(response)


def _runs(handler: Handler, metrics: MethodMetrics) -> Behaviour:
    """Returns what runs a method and counts its messages."""
    kind = handler.request_streaming, handler.response_streaming
    inner: Behaviour = {
        (False, False): handler.unary_unary,
        (True, False): handler.stream_unary,
        (False, True): handler.unary_stream,
        (True, True): handler.stream_stream,
    }[kind]
    received, sent = metrics.received.inc, metrics.sent.inc

    async def unary_unary(request: Any, context: Context) -> Any:
        received()
        response = await inner(request, context)
        sent()
        return response

    async def stream_unary(requests: AsyncIterator[Any], context: Context) -> Any:
        response = await inner(_Counted(requests, received), _CountingContext(context, received, sent))
        sent()
        return response

    async def generates(request: Any, context: Context) -> None:
        async with aclosing(inner(_taken(request), context)) as responses:
            async for response in responses:
                await context.write(response)
                sent()

    async def writes(request: Any, context: Context) -> None:
        await inner(_taken(request), _CountingContext(context, received, sent))

    def _taken(request: Any) -> Any:
        if handler.request_streaming:
            return _Counted(request, received)
        received()
        return request

    if handler.response_streaming:
        return generates if inspect.isasyncgenfunction(inner) else writes
    return stream_unary if handler.request_streaming else unary_unary


class _Counted:
    """Messages, counted as they are taken."""

    def __init__(self, messages: AsyncIterator[Any], count: Callable[[], None]) -> None:
        self._messages = messages
        self._count = count
        self._iterator: AsyncIterator[Any] | None = None

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self._iterator is None:  # Not before: a handler may use context.read() instead.
            self._iterator = aiter(self._messages)
        message = await anext(self._iterator)
        self._count()
        return message


class _CountingContext:
    """A context that counts what is read and written through it."""

    def __init__(self, context: Context, received: Callable[[], None], sent: Callable[[], None]) -> None:
        self._context = context
        self._received = received
        self._sent = sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def read(self) -> Any:
        message = await self._context.read()
        if message is not grpc.aio.EOF:
            self._received()
        return message

    async def write(self, message: Any) -> None:
        await self._context.write(message)
        self._sent()


_WRAPPERS: dict[str, Callable[..., Handler]] = {
    "unary": grpc.unary_unary_rpc_method_handler,
    "client_stream": grpc.stream_unary_rpc_method_handler,
    "server_stream": grpc.unary_stream_rpc_method_handler,
    "bidi_stream": grpc.stream_stream_rpc_method_handler,
}


def _request_id(metadata: Mapping[str, str | bytes]) -> str:
    """Returns the caller's id of the request, or one of ours when there is none that can be used."""
    given = metadata.get(REQUEST_ID)
    return given if isinstance(given, str) and REQUEST_ID_FORM.fullmatch(given) else secrets.token_hex(8)


def _code(context: Context) -> str:
    code = context.code()
    return CODE_NAMES[code.value[0] if isinstance(code, grpc.StatusCode) else code or 0]


def _going_down() -> Unavailable:
    message = "This server is going down. Call again; another one answers."
    return Unavailable(message, reason="GOING_DOWN", retry_after_s=0.1)


async def _abort(context: Context, status: status_pb2.Status, request_id: str) -> NoReturn:
    """Answers with a status. Always raises grpc.aio.AbortError."""
    rich = rpc_status.to_status(status)
    await context.abort(rich.code, rich.details, (*rich.trailing_metadata, (REQUEST_ID, request_id)))
    raise AssertionError("abort returned")
