"""The work around every call, the same for every kind of method: id, metrics, deadline, key, limits, errors, log line.

It is one interceptor with one wrapped handler a method, not a chain, because each link would cost every message of
every stream. Every method is wrapped as one that takes a stream of bytes, so that no part of a request is awaited, read
or parsed before the caller is known; `call_messages` does that later. Servicers catch nothing: they raise from
`services.errors`, and only this module turns that into a status. A cancelled call is counted as such, and its
CancelledError is raised again.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NoReturn

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from services.errors import DeadlineTooShort, ServiceError, Unavailable
from services.rpc import auth, logs
from services.rpc.call_limits import CallLimits, Gate, Group, OpenCalls, too_many_arrive
from services.rpc.call_messages import Context, Handler, Requests, Run, running
from services.rpc.status_codes import to_status
from services.rpc.telemetry import CODE_NAMES, KINDS, MethodMetrics, ServerMetrics

log = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
REQUEST_ID_FORM = re.compile(r"[!-~]{1,128}")

CANCELED = CODE_NAMES[grpc.StatusCode.CANCELLED.value[0]]
DEADLINE_EXCEEDED = CODE_NAMES[grpc.StatusCode.DEADLINE_EXCEEDED.value[0]]


@dataclass(frozen=True, slots=True)
class _Method:
    """The facts about a method that are the same for all its calls."""

    name: str
    metrics: MethodMetrics
    is_open: bool
    verify: auth.Verify | None
    endless: bool
    group: Group | None
    parse: Callable[[bytes], Any] | None
    run: Run


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every method of a server."""

    def __init__(
        self,
        metrics: ServerMetrics,
        *,
        verify: auth.Verify | None,
        endless: Collection[str] = (),
        limits: CallLimits | None = None,
        check: Callable[[Any], None] | None = None,
        least_time_s: float = 0.005,
    ) -> None:
        """Without `verify` every method is open. `endless` methods are ended by `end_streams`.

        `check` gets every message of a call with a key, and raises ServiceError for one that is not acceptable.
        """
        self._metrics = metrics
        self._verify = verify
        self._endless = frozenset(endless)
        self._limits = limits or CallLimits()
        self._group_of = {method: group for group in self._limits.groups for method in group.methods}
        self._gate = Gate(self._limits)
        self._open = OpenCalls(self._limits.open_calls)
        self._arriving = 0
        self._check = check
        self._least_time_s = least_time_s
        self._wrapped: dict[str, Handler] = {}
        self._streams: set[asyncio.Task[Any]] = set()
        self._ended: dict[asyncio.Task[Any], ServiceError] = {}
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
            self._end(stream, _going_down())

    def _end(self, task: asyncio.Task[Any], why: ServiceError) -> None:
        if task not in self._ended:
            self._ended[task] = why
            task.cancel()

    def _wrap(self, name: str, handler: Handler) -> Handler:
        kind = KINDS[handler.request_streaming, handler.response_streaming]
        metrics = self._metrics.method(name, kind)
        is_open = auth.is_open(name)
        method = _Method(
            name=name,
            metrics=metrics,
            is_open=is_open,
            verify=None if is_open else self._verify,
            endless=(name in self._endless or is_open) and metrics.open is not None,
            group=self._group_of.get(name),
            parse=handler.request_deserializer,
            run=running(handler, sent=metrics.sent.inc, rejected=self._metrics.reject, taking_s=self._limits.taking_s),
        )

        async def answer(_: Any, context: Context) -> Any:
            return await self._answer(method, context)

        streams = handler.response_streaming
        wrap = grpc.stream_stream_rpc_method_handler if streams else grpc.stream_unary_rpc_method_handler
        return wrap(answer, None, _serializer(handler))

    async def _answer(self, method: _Method, context: Context) -> Any:
        began = perf_counter()
        metrics = method.metrics
        metrics.started.inc()
        if metrics.open is not None:
            metrics.open.inc()
        task = asyncio.current_task()
        assert task is not None
        pairs = context.invocation_metadata()
        metadata = dict(pairs)
        request_id = _request_id(metadata)
        logs.bind(request_id=request_id)
        context.set_trailing_metadata(((REQUEST_ID, request_id),))
        code = CANCELED
        try:
            try:
                self._check_time(context)
                await self._admit(method, pairs, metadata, context, task)
            except ServiceError as error:
                self._metrics.reject(error.reason)
                raise
            response = await method.run(self._requests(method, context), context)
            code = _code(context)
            return response
        except grpc.aio.AbortError:
            code = _code(context)
            raise
        except asyncio.CancelledError as error:
            why = self._ended.get(task)
            if task.uncancel() if why is not None else task.cancelling():
                if context.time_remaining() == 0:
                    code = DEADLINE_EXCEEDED
                raise  # The caller is gone.
            if why is not None:
                self._metrics.reject(why.reason)
            status = to_status(why or error)
            code = CODE_NAMES[status.code]
            await _abort(context, status, request_id)
        except Exception as error:
            if isinstance(error, grpc.aio.BaseError) and not isinstance(error, grpc.aio.UsageError):
                raise  # The connection broke while we wrote.
            status = to_status(error)
            code = CODE_NAMES[status.code]
            await _abort(context, status, request_id)
        finally:
            self._release(method, task)
            took_s = perf_counter() - began
            metrics.handled(code)
            metrics.seconds.observe(took_s)
            if metrics.open is not None:
                metrics.open.dec()
            level = logging.DEBUG if method.is_open else logging.INFO
            if log.isEnabledFor(level):
                log.log(level, "answered", extra={"method": method.name, "code": code, "ms": round(took_s * 1000, 2)})

    async def _admit(
        self,
        method: _Method,
        pairs: tuple[tuple[str, str | bytes], ...],
        metadata: Mapping[str, str | bytes],
        context: Context,
        task: asyncio.Task[Any],
    ) -> None:
        """Authenticates the caller, and checks the limits. Raises ServiceError."""
        if method.endless and self._ending:
            raise _going_down()
        if method.is_open:
            out = self._open.enter(context.peer(), task)
            if out is not None:
                self._end(out, self._open.crowded_out())
        else:
            tenant = ""
            if method.verify is not None:
                if len(metadata) != len(pairs):
                    auth.demand_single(pairs)
                tenant = await self._who(metadata, method.verify)
            self._gate.enter(tenant, method.group)
            # When the task ends, not this function: gRPC still holds an answer that its caller does not take.
            task.add_done_callback(lambda _: self._gate.leave(tenant, method.group))
        if method.endless:
            self._streams.add(task)

    async def _who(self, metadata: Mapping[str, str | bytes], verify: auth.Verify) -> str:
        if self._arriving >= self._limits.arriving:
            raise too_many_arrive()
        self._arriving += 1
        try:
            who = await auth.authenticate(metadata, verify)
        finally:
            self._arriving -= 1
        logs.bind(tenant=who.tenant, user=who.user)
        return who.tenant

    def _release(self, method: _Method, task: asyncio.Task[Any]) -> None:
        self._ended.pop(task, None)
        if method.is_open:
            self._open.leave(task)
        if method.endless:
            self._streams.discard(task)

    def _requests(self, method: _Method, context: Context) -> Requests:
        return Requests(
            context,
            method.parse,
            check=None if method.is_open else self._check,
            received=method.metrics.received.inc,
            rejected=self._metrics.reject,
            first_message_s=self._limits.first_message_s,
            next_message_s=self._limits.next_message_s,
        )

    def _check_time(self, context: Context) -> None:
        left_s = context.time_remaining()
        if left_s is not None and left_s < self._least_time_s:
            raise DeadlineTooShort(metadata={"left_ms": str(round(left_s * 1000))})


def _serializer(handler: Handler) -> Callable[[Any], bytes]:
    """Returns a method's serializer. It does not change bytes, so that a message for many callers is encoded once."""
    serialize: Callable[[Any], bytes] = handler.response_serializer
    return lambda response: response if isinstance(response, bytes) else serialize(response)


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
