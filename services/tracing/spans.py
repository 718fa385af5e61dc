"""Spans, wherever they begin. Like log lines they are ambient: what is traced need not be given a tracer.

Without a tracer, and in a trace that is not recorded, there is one span that does nothing. A span is a child of the
current one; without a current one there is none, so that what a process does by itself makes no traces. Only `entry`
begins a trace. Attributes hold names, numbers and our own ids: no text of a caller, no key, no URL with a query.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar, Token
from enum import Enum, auto
from typing import Protocol, Self, TypeVar

from services.tracing.trace_context import TraceContext

T = TypeVar("T")
Value = str | int | float | bool
Attributes = Mapping[str, Value]
NONE: Attributes = {}


class Kind(Enum):
    """What a span is to others, by OpenTelemetry's names."""

    INTERNAL = auto()
    SERVER = auto()
    CLIENT = auto()
    PRODUCER = auto()
    CONSUMER = auto()


class Span(Protocol):
    """A part of a trace. A `with` block makes it the current span, and ends it."""

    @property
    def recorded(self) -> bool:
        """Whether it is part of a trace that is recorded."""

    def set(self, name: str, value: Value) -> None:
        """Sets an attribute."""

    def event(self, name: str, attributes: Attributes = NONE) -> None:
        """Notes that something has happened now."""

    def fail(self, kind: str) -> None:
        """Marks it as failed. `kind` is a reason of ours, a status or the name of a class, never a message."""

    def end(self, error: BaseException | None = None) -> None:
        """Ends it, as failed if there is an error. A cancel is no failure."""

    def context(self) -> TraceContext | None:
        """Returns what its children elsewhere need; None: it is no span."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None: ...


class _NoSpan:
    __slots__ = ()
    recorded = False

    def set(self, name: str, value: Value) -> None:
        """Does nothing."""

    def event(self, name: str, attributes: Attributes = NONE) -> None:
        """Does nothing."""

    def fail(self, kind: str) -> None:
        """Does nothing."""

    def end(self, error: BaseException | None = None) -> None:
        """Does nothing."""

    def context(self) -> TraceContext | None:
        """Returns None."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Does nothing."""


NO_SPAN: Span = _NoSpan()


class Tracer(Protocol):
    """What makes spans."""

    def begin(self, name: str, kind: Kind, attributes: Attributes, ago_s: float) -> Span:
        """Begins a child of the current span, which is recorded."""

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


_tracer: Tracer | None = None
_current: ContextVar[Span] = ContextVar("span", default=NO_SPAN)


def install(tracer: Tracer | None) -> None:
    """Makes every later span by a tracer; None switches tracing off."""
    global _tracer
    _tracer = tracer


def is_on() -> bool:
    """Whether this process makes spans."""
    return _tracer is not None


def make_current(span: Span) -> Token[Span]:
    """Makes a span the current one of this task, until `restore`. For the spans themselves."""
    return _current.set(span)


def restore(token: Token[Span]) -> None:
    """Makes the span current that was it before."""
    _current.reset(token)


def begin(name: str, attributes: Attributes = NONE, kind: Kind = Kind.INTERNAL, *, ago_s: float = 0.0) -> Span:
    """Begins a child of the current span. `ago_s`: it began so many seconds ago."""
    if _tracer is None or not _current.get().recorded:
        return NO_SPAN
    return _tracer.begin(name, kind, attributes, ago_s)


def entry(
    name: str,
    kind: Kind,
    attributes: Attributes = NONE,
    *,
    parent: TraceContext | None = None,
    link: TraceContext | None = None,
    ago_s: float = 0.0,
) -> Span:
    """Begins the first span of a piece of work: a child of `parent`, elsewhere, or a trace, and linked to `link`."""
    return NO_SPAN if _tracer is None else _tracer.entry(name, kind, attributes, parent, link, ago_s)


def current() -> TraceContext | None:
    """Returns the context of the current span, which children elsewhere need; None: there is none."""
    return None if _tracer is None else _current.get().context()


def text_of_current() -> str:
    """Returns the context of the current span as a text to be stored; empty: there is none."""
    context = current()
    return context.text if context is not None else ""


async def during(name: str, work: Callable[[], Awaitable[T]]) -> T:
    """Returns the result of some work, for a task of its own. It is the current span meanwhile."""
    with begin(name):
        return await work()
