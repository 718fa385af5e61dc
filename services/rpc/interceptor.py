"""The work around every call, the same for every kind of method: id, metrics, deadline, key, limits, errors, log line.

It is one interceptor with one wrapped handler a method, not a chain, because each link would cost every message of
every stream. Every method is wrapped as one that takes a stream of bytes, so that no part of a request is awaited, read
or parsed before the caller is known; `request_messages` does that later. Servicers catch nothing: they raise from
`services.errors`, and only this module turns that into a status. A cancelled call is counted as such, and its
CancelledError is raised again.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NoReturn

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from services.errors import DeadlineTooShort, ServiceError
from services.reasons import ServiceReason
from services.rpc import auth, logs
from services.rpc.admitted_calls import AdmittedCalls, Metadata, OpenStream
from services.rpc.concurrent_call_limits import CallLimits, Group
from services.rpc.method_runner import Context, Handler, MethodRunner, method_runner
from services.rpc.request_messages import RequestMessages
from services.rpc.server_spans import begin_call, end_call
from services.rpc.status_codes import reason_in, to_status
from services.rpc.telemetry import CODE_NAMES, KINDS, MethodMetrics, ServerMetrics
from services.rpc.traced_channel import rpc_attributes
from services.tracing.spans import NO_SPAN, Attributes

log = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
REQUEST_ID_FORM = re.compile(r"[!-~]{1,128}")

UNIMPLEMENTED = CODE_NAMES[grpc.StatusCode.UNIMPLEMENTED.value[0]]
CANCELED = CODE_NAMES[grpc.StatusCode.CANCELLED.value[0]]
FAULTS = frozenset({"Unknown", "Internal", "Unavailable", "DataLoss"})
"""Codes of refusals that are no fault of the caller."""
DEADLINE_EXCEEDED = CODE_NAMES[grpc.StatusCode.DEADLINE_EXCEEDED.value[0]]


@dataclass(frozen=True, slots=True)
class _Method:
    """The facts about a method that are the same for all its calls."""

    name: str
    metrics: MethodMetrics
    is_open: bool
    endless: bool
    streams: bool
    group: Group | None
    parse: Callable[[bytes], Any] | None
    run: MethodRunner
    attributes: Attributes
    """Of the span of a call."""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every method of a server."""

    def __init__(
        self,
        metrics: ServerMetrics,
        *,
        verify: auth.Verify | None,
        authorize: auth.Authorize | None,
        endless: Collection[str],
        limits: CallLimits,
        check: Callable[[Any], None] | None,
    ) -> None:
        """Without `verify` every method is open. `authorize` decides who may call which method; without it all may.

        `endless` methods are ended by `end_streams`.

        `check` gets every message of a call with a key, and raises ServiceError for one that is not acceptable.
        """
        self._metrics = metrics
        self._endless = frozenset(endless)
        self._limits = limits
        self._group_of = {method: group for group in limits.groups for method in group.methods}
        self._admission = AdmittedCalls(limits, verify, authorize)
        self._check = check
        self._wrapped: dict[str, Handler] = {}

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
            if handler is None:  # gRPC answers
                self._metrics.unknown()
                request_id = _request_id(handler_call_details.invocation_metadata)
                log.info("refused", extra={"method": method, "code": UNIMPLEMENTED, "request_id": request_id})
                return None
            known = self._wrapped[method] = self._wrap(method, handler)
        return known

    def end_streams(self) -> None:
        """Ends every endless stream with UNAVAILABLE, now and from now on, so that its client resumes elsewhere."""
        self._admission.end_streams()

    def open_streams(self) -> list[OpenStream]:
        """Returns the open streams of callers with a key."""
        return self._admission.open_streams()

    def end_stream(self, stream: OpenStream, reason: ServiceError) -> None:
        """Ends a stream with an error; without effect if it has ended."""
        self._admission.end_stream(stream, reason)

    def _wrap(self, name: str, handler: Handler) -> Handler:
        kind = KINDS[handler.request_streaming, handler.response_streaming]
        metrics = self._metrics.method(name, kind)
        is_open = auth.is_open(name)
        method = _Method(
            name=name,
            metrics=metrics,
            is_open=is_open,
            endless=(name in self._endless or is_open) and metrics.open is not None,
            streams=handler.request_streaming or handler.response_streaming,
            group=self._group_of.get(name),
            parse=handler.request_deserializer,
            run=method_runner(
                handler, sent=metrics.sent.inc, rejected=self._metrics.reject, taking_s=self._limits.taking_s
            ),
            attributes=rpc_attributes(name),
        )

        async def answer(_: Any, context: Context) -> Any:
            return await self._answer(method, context)

        streams = handler.response_streaming
        wrap = grpc.stream_stream_rpc_method_handler if streams else grpc.stream_unary_rpc_method_handler
        return wrap(answer, None, _serializer(handler, metrics.sent_bytes.inc))

    async def _answer(self, method: _Method, context: Context) -> Any:
        began = perf_counter()
        method.metrics.started.inc()
        if method.metrics.open is not None:
            method.metrics.open.inc()
        task = asyncio.current_task()
        assert task is not None
        metadata: Metadata = context.invocation_metadata()
        request_id = _request_id(metadata)
        logs.bind(request_id=request_id)
        context.set_trailing_metadata(((REQUEST_ID, request_id),))
        code, refused, span = CANCELED, None, NO_SPAN
        try:
            await self._admit(method, context, task, metadata)
            if not method.is_open:  # and not before: a caller without a key makes no spans
                span = begin_call(method.name, method.attributes, metadata, began)
            response = await method.run(self._requests(method, context), context)
            code = _code(context)
            return response
        except grpc.aio.AbortError:
            code, refused = _code(context), ""
            raise
        except asyncio.CancelledError as error:
            reason = self._admission.reason_of_end(task)
            if task.uncancel() if reason is not None else task.cancelling():
                if context.time_remaining() == 0:
                    code = DEADLINE_EXCEEDED
                raise  # The caller is gone.
            if reason is not None:
                self._metrics.reject(reason.reason)
            status = to_status(reason or error)
            code, refused = CODE_NAMES[status.code], reason_in(status)
            await _abort(context, status, request_id)
        except Exception as error:
            if isinstance(error, grpc.aio.BaseError) and not isinstance(error, grpc.aio.UsageError):
                raise  # The connection broke while we wrote.
            status = to_status(error)
            code, refused = CODE_NAMES[status.code], reason_in(status)
            await _abort(context, status, request_id)
        finally:
            self._admission.release(task)
            took_s = perf_counter() - began
            # Within the span: the exemplar and the line name its trace.
            self._record(method, code, took_s)
            _log(method, context, code, refused, took_s)
            end_call(span, code)

    async def _admit(self, method: _Method, context: Context, task: asyncio.Task[Any], metadata: Metadata) -> None:
        """Raises ServiceError, and counts it, for a call that is not to be run."""
        try:
            left_s = context.time_remaining()
            if left_s is not None and left_s < self._limits.least_time_s:
                raise DeadlineTooShort(metadata={"left_ms": str(round(left_s * 1000))})
            await self._admission.admit(
                task,
                context.peer() if method.is_open else "",
                metadata,
                method=method.name,
                is_open=method.is_open,
                endless=method.endless,
                streams=method.streams,
                group=method.group,
            )
        except ServiceError as error:
            self._metrics.reject(error.reason)
            raise

    def _requests(self, method: _Method, context: Context) -> RequestMessages:
        return RequestMessages(
            context,
            method.parse,
            check=None if method.is_open else self._check,
            received=method.metrics.received,
            rejected=self._metrics.reject,
            first_message_s=self._limits.first_message_s,
            next_message_s=self._limits.next_message_s,
        )

    def _record(self, method: _Method, code: str, took_s: float) -> None:
        """Counts an answered call."""
        metrics = method.metrics
        metrics.handled(code, took_s)
        if metrics.open is not None:
            metrics.open.dec()


def _log(method: _Method, context: Context, code: str, refused: str | None, took_s: float) -> None:
    """Logs a call that has ended. `refused` is why it was refused; None: it was answered, or its caller is gone."""
    level = logging.DEBUG if method.is_open else logging.INFO
    ms = round(took_s * 1000, 2)
    if refused is None:
        log.log(level, "answered", extra={"method": method.name, "code": code, "ms": ms})
        return
    if code in FAULTS and refused != ServiceReason.GOING_DOWN:
        level = logging.WARNING
    fields = {"method": method.name, "code": code, "reason": refused, "peer": context.peer(), "ms": ms}
    log.log(level, "refused", extra=fields)


def _serializer(handler: Handler, sent: Callable[[int], None]) -> Callable[[Any], bytes]:
    """Returns a method's serializer. It does not change bytes, so that a message for many callers is encoded once.

    `sent` gets the size of each message.
    """
    serialize: Callable[[Any], bytes] = handler.response_serializer

    def serialized(response: Any) -> bytes:
        data = response if isinstance(response, bytes) else serialize(response)
        sent(len(data))
        return data

    return serialized


def _request_id(metadata: Metadata) -> str:
    """Returns the caller's id of the request, or one of ours when there is none that can be used."""
    given = dict(metadata).get(REQUEST_ID)
    return given if isinstance(given, str) and REQUEST_ID_FORM.fullmatch(given) else secrets.token_hex(8)


def _code(context: Context) -> str:
    code = context.code()
    return CODE_NAMES[code.value[0] if isinstance(code, grpc.StatusCode) else code or 0]


async def _abort(context: Context, status: status_pb2.Status, request_id: str) -> NoReturn:
    """Answers with a status. Always raises grpc.aio.AbortError."""
    rich = rpc_status.to_status(status)
    await context.abort(rich.code, rich.details, (*rich.trailing_metadata, (REQUEST_ID, request_id)))
    raise AssertionError("abort returned")
