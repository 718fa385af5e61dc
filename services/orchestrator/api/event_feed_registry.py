"""The feeds of the jobs that are watched in this process, and what is expected of those that wait."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

from i2v.v1 import job_pb2

from services.orchestrator.admission.queue_forecasts import QueueForecasts
from services.orchestrator.api import job_messages
from services.orchestrator.api.shared_event_feed import BEATS, KEPT, PAGE, EventFeed, entry
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.queue_forecast import Expectation
from services.orchestrator.ports.job_events import JobEvents

HEARTBEAT_S = 15.0
"""Seconds without a message on a watch, at most."""
EXPECT_S = 3.0
"""Seconds between two lookups of what is expected of the waiting jobs."""
GATHER_S = 0.1
"""Seconds before a waiting job is looked up: a job that starts immediately needs no lookup, and many jobs share one."""

log = logging.getLogger(__name__)


class EventFeeds:
    """The feeds of one process. Without watchers nothing runs."""

    def __init__(
        self, events: JobEvents, forecasts: QueueForecasts, *, heartbeat_s: float = HEARTBEAT_S, kept: int = KEPT
    ) -> None:
        """`kept` is the limit of events that are kept per job."""
        self._events = events
        self._forecasts = forecasts
        self._beat_s = heartbeat_s / BEATS
        self._kept = kept
        self._feeds: dict[str, tuple[EventFeed, asyncio.Task[None]]] = {}
        self._lookup_wanted = asyncio.Event()
        self._lookups: asyncio.Task[None] | None = None

    async def watch(self, job: Job, after: int) -> AsyncGenerator[bytes, None]:
        """Yields encoded WatchJobResponses: the events after a sequence number to the last one, and heartbeats.

        Raises:
            Unavailable: the events cannot be read now; a new watch from the last event seen misses none.
        """
        sent: Expectation | None = None
        now = asyncio.get_running_loop().time
        quiet_since = now()
        async with self._feed(job) as feed:
            while True:
                changed = feed.changed
                if not feed.holds(after):  # a late joiner, or a slow one
                    events = await self._events.read(job.id, after=after, limit=PAGE)
                    for event in events:
                        found = entry(event)
                        yield found.data
                        after = found.sequence
                        if found.last:
                            return
                    if not events:  # they were removed
                        after = feed.start
                    continue
                while (following := feed.next(after)) is not None:
                    yield following.data
                    quiet_since = now()
                    after = following.sequence
                    if following.last:
                        return
                if not feed.holds(after):  # the window moved while we sent
                    continue
                if feed.ended:
                    return  # the caller asked for events after the end
                feed.check()
                if feed.waiting and feed.expected is not sent:
                    sent = feed.expected
                    yield _heartbeat(sent)
                    quiet_since = now()
                    continue
                if now() - quiet_since > (BEATS - 1.5) * self._beat_s:  # the next check would be too late
                    yield _heartbeat(feed.expected)
                    quiet_since = now()
                    continue
                await changed.wait()

    @asynccontextmanager
    async def _feed(self, job: Job) -> AsyncIterator[EventFeed]:
        if job.id not in self._feeds:
            feed = EventFeed(self._events, job, self._lookup_wanted.set, beat_s=self._beat_s, kept=self._kept)
            reading = asyncio.create_task(feed.read(), name=f"feed-{job.id}")
            reading.add_done_callback(lambda _: self._drop(feed))
            self._feeds[job.id] = feed, reading
            if self._lookups is None:
                self._lookups = asyncio.create_task(self._look_up(), name="expectations")
        feed, reading = self._feeds[job.id]
        feed.watchers += 1
        try:
            yield feed
        finally:
            feed.watchers -= 1
            if not feed.watchers:
                self._drop(feed)
                reading.cancel()

    def _drop(self, feed: EventFeed) -> None:
        """Gives the next watcher a new feed. Present watchers keep this one."""
        if self._feeds.get(feed.job_id, (None,))[0] is feed:
            del self._feeds[feed.job_id]
        if not self._feeds and self._lookups is not None:
            self._lookups.cancel()
            self._lookups = None

    async def _look_up(self) -> None:
        """Looks up what is expected of the waiting jobs, of all of them together."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EXPECT_S):
                    await self._lookup_wanted.wait()
            await asyncio.sleep(GATHER_S)
            self._lookup_wanted.clear()
            waiting = {job_id: feed for job_id, (feed, _) in self._feeds.items() if feed.waiting}
            if not waiting:
                continue
            try:
                expected = await self._forecasts.expected(list(waiting))
            except Exception:  # feeds report errors to their watchers; a missing place is no reason to end
                log.warning("what is expected of waiting jobs cannot be looked up", exc_info=True)
                continue
            for job_id, feed in waiting.items():
                feed.expect(expected.get(job_id))


def _heartbeat(expected: Expectation | None) -> bytes:
    return job_pb2.WatchJobResponse(heartbeat=job_messages.heartbeat(expected)).SerializeToString()
