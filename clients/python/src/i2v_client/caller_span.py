"""Spans by OpenTelemetry, if the program that calls has loaded it. It is not loaded for that."""

import sys
from typing import Any

import grpc

LIBRARY = "opentelemetry.trace"
Header = tuple[str, str]


class CallerSpan:
    """A call in the trace of the program's current span."""

    __slots__ = ("_span", "headers")

    def __init__(self, trace: Any, current: Any, method: str) -> None:
        """`method` is `/package.Service/Method`."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._span: Any = None
        if current.is_recording():
            service, _, name = method.lstrip("/").rpartition("/")
            attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
            tracer = trace.get_tracer("i2v.client")
            self._span = tracer.start_span(method.lstrip("/"), kind=trace.SpanKind.CLIENT, attributes=attributes)
            current = self._span if self._span.get_span_context().is_valid else current
        headers: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(headers, trace.set_span_in_context(current))
        self.headers: tuple[Header, ...] = tuple(headers.items())
        """What makes the server's spans part of the trace."""

    def failed(self, error: BaseException) -> None:
        """The call did not begin."""
        self._end(type(error).__name__)

    def ended(self, call: Any) -> None:
        """The call has ended, however it did."""
        if self._span is None:
            return
        code = _code_of(call)
        self._span.set_attribute("rpc.grpc.status_code", code.value[0])
        if code is grpc.StatusCode.CANCELLED:
            self._span.add_event("cancelled")
        self._end("" if code in (grpc.StatusCode.OK, grpc.StatusCode.CANCELLED) else code.name)

    def _end(self, kind: str) -> None:
        if self._span is None:
            return
        if kind:
            status = sys.modules[LIBRARY].StatusCode.ERROR
            self._span.set_attribute("error.type", kind)
            self._span.set_status(status)
        self._span.end()


def begin(method: str) -> CallerSpan | None:
    """Begins the span of a call; None: the program has no current span."""
    trace: Any = sys.modules.get(LIBRARY)
    if trace is None:
        return None
    current = trace.get_current_span()
    return CallerSpan(trace, current, method) if current.get_span_context().is_valid else None


def _code_of(call: Any) -> grpc.StatusCode:
    """Returns the status of a call that has ended. grpc.aio gives it by a coroutine alone, which does not wait then."""
    reading = call.code()
    try:
        reading.send(None)
    except StopIteration as found:
        return found.value if isinstance(found.value, grpc.StatusCode) else grpc.StatusCode.UNKNOWN
    finally:
        reading.close()
    return grpc.StatusCode.UNKNOWN
