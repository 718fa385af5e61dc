"""Spans by the tracer of the program that uses our client, if it has one. It is not loaded for that."""

import sys

from services.tracing.spans import NO_SPAN, Attributes, Kind, Span
from services.tracing.trace_context import TraceContext

LIBRARY = "opentelemetry.trace"


def begin(name: str, attributes: Attributes, kind: Kind) -> Span:
    """Begins a child of the program's current span, if it has one."""
    library = sys.modules.get(LIBRARY)
    if library is None:
        return NO_SPAN
    from services.tracing.opentelemetry_tracer import OpenTelemetryTracer

    return OpenTelemetryTracer(library.get_tracer("i2v.client")).begin(name, kind, attributes, 0.0)


def current() -> TraceContext | None:
    """Returns the context of the program's current span."""
    library = sys.modules.get(LIBRARY)
    if library is None:
        return None
    from services.tracing.opentelemetry_tracer import context_of

    return context_of(library.get_current_span())
