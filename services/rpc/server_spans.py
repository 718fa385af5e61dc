"""The span of a call that a server answers."""

from collections.abc import Sequence
from time import perf_counter

import grpc

from services.rpc.telemetry import CODE_NAMES
from services.tracing import spans
from services.tracing.spans import NO_SPAN, Attributes, Kind, Span
from services.tracing.trace_context import TraceContext

NUMBERS = {name: number for number, name in CODE_NAMES.items()}
FAULTS = frozenset(
    CODE_NAMES[code.value[0]]
    for code in (
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    )
)
"""The codes by which a server has failed. The others are the caller's, and no error of the span."""


def begin_call(method: str, attributes: Attributes, metadata: Sequence[tuple[str, str | bytes]], began: float) -> Span:
    """Begins the span of a call as a child of the caller's, and makes it the current one. `end_call` must follow.

    `began` is the value of perf_counter when the call came.
    """
    if not spans.is_on():
        return NO_SPAN
    parent = TraceContext.of_headers(metadata)
    span = spans.entry(method.lstrip("/"), Kind.SERVER, attributes, parent=parent, ago_s=perf_counter() - began)
    span.__enter__()
    return span


def end_call(span: Span, code: str) -> None:
    """Ends the span of a call that was answered with a code, in Go's spelling."""
    if span.recorded:
        span.set("rpc.grpc.status_code", NUMBERS[code])
        if code in FAULTS:
            span.fail(code)
    span.__exit__(None, None, None)
