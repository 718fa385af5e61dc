"""Spans by OpenTelemetry's API: the tracer of this process, or of the program that uses our client.

The library is not asked about traces that are not recorded: for most calls that would be most of the cost.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextvars import Token
from time import time_ns
from typing import Self

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import AttributeValue

from services.errors import ServiceError
from services.tracing import spans
from services.tracing.spans import NO_SPAN, NONE, Attributes, Kind, Span, Value
from services.tracing.trace_context import TraceContext

KINDS = {kind: SpanKind[kind.name] for kind in Kind}
CANCELLED = "cancelled"
Decide = Callable[[TraceContext | None], bool]
"""Whether a trace is recorded, of which there is this parent."""


class UnrecordedSpan:
    """The first span of a process in a trace that is not recorded. It has ids only if they are asked for."""

    __slots__ = ("_context", "_token")
    recorded = False

    def __init__(self, parent: TraceContext | None) -> None:
        self._context = parent
        self._token: Token[Span] | None = None

    def set(self, name: str, value: Value) -> None:
        """Does nothing."""

    def event(self, name: str, attributes: Attributes = NONE) -> None:
        """Does nothing."""

    def fail(self, kind: str) -> None:
        """Does nothing."""

    def end(self, error: BaseException | None = None) -> None:
        """Does nothing."""

    def context(self) -> TraceContext | None:
        """Returns what tells others not to record the trace either."""
        if self._context is None:
            self._context = TraceContext(secrets.token_hex(16), secrets.token_hex(8), sampled=False)
        return self._context

    def __enter__(self) -> Self:
        self._token = spans.make_current(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            spans.restore(self._token)


class RecordedSpan:
    """A span of OpenTelemetry."""

    __slots__ = ("_span", "_tokens")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._tokens: tuple[Token[Span], Token[Context]] | None = None

    @property
    def recorded(self) -> bool:
        """Whether it is part of a trace that is recorded."""
        return self._span.is_recording()

    def set(self, name: str, value: Value) -> None:
        """Sets an attribute."""
        self._span.set_attribute(name, value)

    def event(self, name: str, attributes: Attributes = NONE) -> None:
        """Notes that something has happened now."""
        self._span.add_event(name, _values(attributes))

    def fail(self, kind: str) -> None:
        """Marks it as failed."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self, error: BaseException | None = None) -> None:
        """Ends it, as failed if there is an error. A cancel is no failure."""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._span.add_event(CANCELLED)
        elif error is not None:
            self.fail(str(error.reason) if isinstance(error, ServiceError) else type(error).__name__)
        self._span.end()

    def context(self) -> TraceContext | None:
        """Returns what its children elsewhere need."""
        return context_of(self._span)

    def __enter__(self) -> Self:
        # The library must know it too: it looks for the parent there, and so do the exemplars of metrics.
        self._tokens = spans.make_current(self), contexts.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if self._tokens is not None:
            spans.restore(self._tokens[0])
            contexts.detach(self._tokens[1])
        self.end(error)


class OpenTelemetryTracer:
    """Makes spans by a tracer of OpenTelemetry."""

    def __init__(self, tracer: trace.Tracer, decide: Decide = lambda _: True) -> None:
        """`decide` comes before the tracer's own sampler."""
        self._tracer = tracer
        self._decide = decide

    def begin(self, name: str, kind: Kind, attributes: Attributes, ago_s: float) -> Span:
        """Begins a child of the current span, if that is recorded."""
        if not trace.get_current_span().is_recording():
            return NO_SPAN
        return RecordedSpan(
            self._tracer.start_span(name, None, KINDS[kind], _values(attributes), start_time=_time(ago_s))
        )

    def entry(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes,
        parent: TraceContext | None,
        link: TraceContext | None,
        ago_s: float,
    ) -> Span:
        """Begins a child of `parent`, or a trace."""
        if not self._decide(parent):
            return UnrecordedSpan(parent)
        context = Context() if parent is None else trace.set_span_in_context(NonRecordingSpan(_span_context(parent)))
        return RecordedSpan(
            self._tracer.start_span(
                name,
                context,
                KINDS[kind],
                _values(attributes),
                [Link(_span_context(link))] if link is not None else None,
                _time(ago_s),
            )
        )


def context_of(span: trace.Span) -> TraceContext | None:
    """Returns the context of a span; None: it is none."""
    found = span.get_span_context()
    if not found.is_valid:
        return None
    state = found.trace_state.to_header() if found.trace_state else ""
    return TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled, state)


def _span_context(context: TraceContext) -> SpanContext:
    state = TraceState.from_header([context.state]) if context.state else None
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), True, flags, state)


def _time(ago_s: float) -> int | None:
    return time_ns() - round(ago_s * 1e9) if ago_s > 0 else None


def _values(attributes: Attributes) -> dict[str, AttributeValue]:
    return dict(attributes)
