"""Wakes the watchers of a task when a webhook reports it: they poll immediately instead of at their next time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from services.tracing import spans
from services.tracing.trace_context import TraceContext


class TaskWakeups:
    """The watchers of this process, by the vendor's id of their task."""

    def __init__(self) -> None:
        self._of_ref: dict[str, dict[asyncio.Event, TraceContext | None]] = {}
        """Each event with the span of the call that waits for it."""

    @contextmanager
    def waiting(self, ref: str) -> Iterator[asyncio.Event]:
        """Yields an event that is set whenever a task should be polled immediately."""
        event = asyncio.Event()
        self._of_ref.setdefault(ref, {})[event] = spans.current()
        try:
            yield event
        finally:
            others = self._of_ref[ref]
            del others[event]
            if not others:
                del self._of_ref[ref]

    def wake(self, ref: str) -> bool:
        """Wakes the watchers of a task. Returns whether there are any."""
        events = self._of_ref.get(ref, {})
        for event, waiting in events.items():
            event.set()
            spans.entry("webhook", spans.Kind.SERVER, parent=waiting).end()
        return bool(events)
