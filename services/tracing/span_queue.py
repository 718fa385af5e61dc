"""The queue of ended spans: bounded, emptied by a thread, so that no call waits for the place where they go."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

MOST = 4096
"""Spans that wait, about 2 KB each. Later ones are dropped until there is room."""
BATCH = 512
EVERY_S = 1.0
REPORT_S = 60.0
"""Seconds between two log lines about lost spans."""

log = logging.getLogger(__name__)

Send = Callable[[Sequence[ReadableSpan]], bool]
"""Sends spans; returns whether they arrived. May take long, and raise."""


class SpanQueue(SpanProcessor):
    """Takes ended spans, and sends them in batches."""

    def __init__(self, send: Send, *, most: int = MOST, every_s: float = EVERY_S, report_s: float = REPORT_S) -> None:
        self._send = send
        self._most, self._every_s, self._report_s = most, every_s, report_s
        self._waiting: deque[ReadableSpan] = deque()
        self._dropped = 0
        self._unsent = 0
        self._reported: float | None = None
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Spans that are not sent yet."""
        return len(self._waiting)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Does nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Takes a span, or drops it if too many wait. Never waits."""
        if span.context is None or not span.context.trace_flags.sampled or self._stopping:
            return
        if len(self._waiting) >= self._most:
            self._dropped += 1
            return
        self._waiting.append(span)
        if len(self._waiting) >= BATCH:
            self._wake.set()

    def stop(self, within_s: float, abort: Callable[[], None]) -> None:
        """Sends what waits, for so many seconds at most; then `abort` ends the sending that is under way."""
        self._stopping = True
        self._wake.set()
        self._thread.join(within_s)
        if self._thread.is_alive():
            log.warning("the last spans were lost", extra={"waiting": len(self._waiting)})
        self._waiting.clear()
        abort()
        self._thread.join(within_s / 2)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(self._every_s)
            self._wake.clear()
            self._send_all()
        self._send_all()

    def _send_all(self) -> None:
        while self._waiting:
            try:
                # Another thread may clear the queue.
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                arrived = self._send(batch)
            except IndexError:
                return
            except Exception:
                log.debug("spans cannot be sent", exc_info=True)
                arrived = False
            if not arrived:
                self._unsent += len(batch)
            self._report()

    def _report(self) -> None:
        """Logs what was lost, once in a while."""
        now = time.monotonic()
        if not (self._unsent or self._dropped) or self._stopping:
            return
        if self._reported is not None and now - self._reported < self._report_s:
            return
        self._reported = now
        log.warning("spans were lost", extra={"not_sent": self._unsent, "no_room": self._dropped})
        self._unsent = self._dropped = 0
