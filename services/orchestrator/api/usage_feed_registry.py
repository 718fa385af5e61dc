"""The limits of the callers that are watched in this process: each caller's are read once for all its watchers."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

from i2v.v1 import usage_pb2

from services.errors import ServiceError, Unavailable
from services.orchestrator.api import usage_changes
from services.orchestrator.api.event_feed_registry import HEARTBEAT_S
from services.orchestrator.api.usage_changes import UsageSnapshot
from services.orchestrator.domain.caller import Caller
from services.orchestrator.ports.counters import Counters

READ_S = 1.0
"""Seconds between two reads of the counters. Submissions notify no one of a change: that would cost each of them."""

log = logging.getLogger(__name__)


class UsageFeed:
    """The limits of one caller as they were read last. Watchers that fall behind miss only what is out of date."""

    def __init__(self, counters: Counters, caller: Callable[[], Caller], *, read_s: float) -> None:
        """`caller` returns the caller with the plan that holds now."""
        self._counters = counters
        self._caller = caller
        self._read_s = read_s
        self.watchers = 0
        self.snapshot: UsageSnapshot | None = None
        """None before the first read."""
        self.changed = asyncio.Event()
        """Set at the next change, and then replaced: get it before you read the feed's state."""
        self._failure: Exception | None = None

    def check(self) -> None:
        """Raises Unavailable if the counters cannot be read, RuntimeError for a fault of ours."""
        match self._failure:
            case None:
                return
            case ServiceError(
                message=message, reason=reason
            ):  # each watcher raises a new error: errors keep tracebacks
                raise Unavailable(message, reason=reason)
            case _:
                raise RuntimeError("the feed of a caller's limits broke; the log has the reason")

    async def read(self) -> None:
        """Reads until it is cancelled or fails."""
        try:
            while True:
                caller = self._caller()
                snapshot = UsageSnapshot(caller, tuple(await self._counters.status(caller)))
                if snapshot != self.snapshot:
                    self.snapshot = snapshot
                    self._wake()
                await asyncio.sleep(self._read_s)
        except Exception as error:
            if not isinstance(error, ServiceError):
                log.exception("the feed of a caller's limits broke")
            self._failure = error
            self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class UsageFeeds:
    """The feeds of one process. Without watchers nothing runs."""

    def __init__(self, counters: Counters, *, read_s: float = READ_S, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._counters = counters
        self._read_s = read_s
        self._heartbeat_s = heartbeat_s
        self._feeds: dict[tuple[str, str, str], tuple[UsageFeed, asyncio.Task[None]]] = {}

    async def watch(self, caller: Callable[[], Caller]) -> AsyncGenerator[usage_pb2.WatchUsageResponse, None]:
        """Yields the state of the caller's limits, then each change and warning, and heartbeats. Ends only by an error.

        Raises: Unavailable, and what `caller` raises.
        """
        sent: UsageSnapshot | None = None
        async with self._feed(caller) as feed:
            while True:
                changed, snapshot = feed.changed, feed.snapshot
                feed.check()
                if snapshot is None or snapshot is sent:
                    try:
                        async with asyncio.timeout(self._heartbeat_s):
                            await changed.wait()
                    except TimeoutError:
                        yield usage_pb2.WatchUsageResponse(heartbeat=usage_pb2.UsageHeartbeat())
                elif sent is None:
                    yield usage_pb2.WatchUsageResponse(state=usage_changes.state(snapshot))
                    sent = snapshot
                else:
                    for response in usage_changes.changes(sent, snapshot):
                        yield response
                    sent = snapshot

    @asynccontextmanager
    async def _feed(self, caller: Callable[[], Caller]) -> AsyncIterator[UsageFeed]:
        who = caller()
        name = who.tenant, who.user, who.key
        if name not in self._feeds:
            feed = UsageFeed(self._counters, caller, read_s=self._read_s)
            reading = asyncio.create_task(feed.read(), name="usage-feed")
            reading.add_done_callback(lambda _: self._drop(name, feed))
            self._feeds[name] = feed, reading
        feed, reading = self._feeds[name]
        feed.watchers += 1
        try:
            yield feed
        finally:
            feed.watchers -= 1
            if not feed.watchers:
                self._drop(name, feed)
                reading.cancel()

    def _drop(self, name: tuple[str, str, str], feed: UsageFeed) -> None:
        """Gives the next watcher a new feed. Present watchers keep this one."""
        if self._feeds.get(name, (None,))[0] is feed:
            del self._feeds[name]
