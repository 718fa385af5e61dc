"""A job's newest events, read from the database and encoded once for all watchers of the job in this process."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from i2v.v1 import job_pb2

from services.errors import ServiceError, Unavailable
from services.orchestrator.api import job_messages
from services.orchestrator.domain.event import Admitted, Event, Rerouted, Resumed, Retrying, Terminal
from services.orchestrator.domain.final_event import final_event
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.queue_forecast import Expectation
from services.orchestrator.ports.job_events import JobEvents

PAGE = 200
"""Events per read."""
KEPT = 256
"""Events that a feed keeps, at most."""
KEPT_BYTES = 256 * 1024
"""Bytes of these events, at most; the newest is kept even if it is larger."""
POLL_S = 15.0
"""Seconds between two reads without a notification."""
BEATS = 3
"""Wake-ups of the watchers within the time of a heartbeat. Each watcher checks then whether it has to send one."""
NOTICED_S = 5.0
"""Seconds by which an expected time must move to be sent again."""
WAITS = (Admitted, Retrying, Rerouted, Resumed)
"""The events after which a job waits in a queue."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as it goes to every watcher."""

    sequence: int
    data: bytes
    """A WatchJobResponse."""
    last: bool
    """Whether this is the job's last event."""


def entry(event: Event) -> Entry:
    """Returns an event, encoded."""
    data = job_pb2.WatchJobResponse(event=job_messages.event(event)).SerializeToString()
    return Entry(event.sequence, data, isinstance(event.body, get_args(Terminal)))


class EventFeed:
    """The window of a job's newest events. A watcher keeps only the number of the last event that it sent.

    So the memory of a feed does not depend on the number of watchers or their speed: a watcher that falls behind the
    window reads from the database until it has caught up.
    """

    def __init__(
        self, events: JobEvents, job: Job, waits: Callable[[], None], *, beat_s: float, kept: int = KEPT
    ) -> None:
        """`waits` is called whenever the job begins to wait in a queue.

        Watchers wake at least every `beat_s` seconds.
        """
        self._events = events
        self._waits = waits
        self._beat_s = beat_s
        self._kept = kept
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._read = max(0, job.last_sequence - kept)
        self.job_id = job.id
        self.watchers = 0
        self.waiting = job.state is State.QUEUED
        """The job waits in a queue."""
        self.expected: Expectation | None = None
        """What is expected of it there; None if it does not wait or nothing is known yet."""
        self.ended = False
        """The job has ended, and its last event is in the window."""
        self.changed = asyncio.Event()
        """Set at the next change, and then replaced: get it before you read the feed's state."""
        self._final = final_event(job) if job.state.ended else None
        self._failure: Exception | None = None
        if self.waiting:
            waits()

    @property
    def start(self) -> int:
        """The number of the event before the window."""
        return self._read - len(self._entries)

    def holds(self, after: int) -> bool:
        """Whether no event between `after` and the window is missing."""
        return after >= self.start

    def next(self, after: int) -> Entry | None:
        """Returns the event that follows `after`, or None if it is not in the window."""
        at = after - self.start
        return self._entries[at] if 0 <= at < len(self._entries) else None

    def check(self) -> None:
        """Raises Unavailable if the events cannot be read, RuntimeError for a fault of ours."""
        match self._failure:
            case None:
                return
            case ServiceError(
                message=message, reason=reason
            ):  # each watcher raises a new error: errors keep tracebacks
                raise Unavailable(message, reason=reason)
            case _:
                raise RuntimeError("the feed of a job broke; the log has the reason")

    def expect(self, expected: Expectation | None) -> None:
        """Stores what is expected of the job. Watchers are woken if it differs by more than they would notice."""
        if self.waiting and _differs(self.expected, expected):
            self.expected = expected
            self._wake()

    async def read(self) -> None:
        """Reads events until the job has ended or they cannot be read. Raises nothing."""
        # One timer for all watchers: a time limit of their own for each event would cost a tenth of the process's time.
        beats = asyncio.create_task(self._beat())
        try:
            async with self._events.changes(self.job_id) as signal:
                while not self.ended:
                    await signal.wait(POLL_S)
                    await self._read_new()
        except Exception as error:
            if not isinstance(error, ServiceError):
                log.exception("the feed of a job broke", extra={"job_id": self.job_id})
            self._failure = error
            self._wake()
        finally:
            beats.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            self._wake()

    async def _read_new(self) -> None:
        more = True
        while more:
            events = await self._events.read(self.job_id, after=self._read, limit=PAGE)
            for event in events:
                self._add(event)
            if events:
                self._wake()
            more = len(events) == PAGE
        if self._final is not None and not self.ended:  # the events of the ended job were removed
            self._entries.clear()
            self._bytes = 0
            self._add(self._final)
            self._wake()

    def _add(self, event: Event) -> None:
        new = entry(event)
        self._entries.append(new)
        self._bytes += len(new.data)
        self._read, self.ended = new.sequence, new.last
        while len(self._entries) > self._kept or (self._bytes > KEPT_BYTES and len(self._entries) > 1):
            self._bytes -= len(self._entries.popleft().data)
        if not isinstance(event.body, WAITS):
            self.waiting, self.expected = False, None
        elif not self.waiting:
            self.waiting = True
            self._waits()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


def _differs(before: Expectation | None, now: Expectation | None) -> bool:
    if before is None or now is None or before.place != now.place:
        return before is not now
    return any(map(_moved, (before.start_time, before.end_time), (now.start_time, now.end_time)))


def _moved(before: datetime | None, now: datetime | None) -> bool:
    if before is None or now is None:
        return before is not now
    return abs((now - before).total_seconds()) > NOTICED_S
