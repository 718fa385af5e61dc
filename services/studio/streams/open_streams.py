"""OpenStreams: the event streams that are open in this process, how many there may be, and their end at a stop."""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from services.reasons import HttpReason
from services.studio.caller import Caller
from services.studio.fair_share import FairShare
from services.studio.metrics import StudioMetrics
from services.studio.refused_request import RefusedRequest

OF_KEY = 4
"""Streams of one key by those that are left for others: at most four fifths of all."""


class End(StrEnum):
    """How a stream ended."""

    COMPLETE = "complete"
    """The reader has all of it."""
    LEFT = "left"
    """The reader went."""
    SLOW = "slow"
    """The reader took nothing for too long."""
    FAILED = "failed"
    """The API refused to go on, or was away for too long."""
    STOPPED = "stopped"
    """The process stops."""


class Place:
    """What an open stream holds."""

    def __init__(self, streams: "OpenStreams", who: Caller) -> None:
        self._streams, self._who = streams, who
        self.stop: Callable[[], None] = lambda: None
        """Called when the process stops."""

    def leave(self, end: End) -> None:
        """The stream has ended."""
        self._streams.leave(self, self._who, end)


class OpenStreams:
    """Counts streams, of all callers and of each."""

    def __init__(self, most: int, most_of_caller: int, metrics: StudioMetrics) -> None:
        self._most_of_caller, self._metrics = most_of_caller, metrics
        self._share = FairShare(most, OF_KEY)
        self._of_caller: Counter[Caller] = Counter()
        self._places: set[Place] = set()

    def enter(self, who: Caller) -> Place:
        """Admits a stream; `leave` of its place must follow. Raises RefusedRequest."""
        if self._of_caller[who] >= self._most_of_caller:
            sentence = f"You have {self._most_of_caller} event streams open here, the most allowed. Close some of them."
            headers = {"Retry-After": "1"}
            raise RefusedRequest(sentence, reason=HttpReason.CALLER_STREAMS_FULL, status=429, headers=headers)
        if not self._share.take(who.credential, 1):
            self._share.give(who.credential, 1)
            sentence = "This server has too many event streams open, or too many of your key. Try again later."
            raise RefusedRequest(sentence, reason=HttpReason.EVENT_STREAMS_FULL, status=503)
        place = Place(self, who)
        self._places.add(place)
        self._of_caller[who] += 1
        self._metrics.streams_open.inc()
        return place

    def leave(self, place: Place, who: Caller, end: End) -> None:
        """A stream has ended."""
        self._places.discard(place)
        self._share.give(who.credential, 1)
        self._of_caller[who] -= 1
        if not self._of_caller[who]:
            del self._of_caller[who]
        self._metrics.streams_open.dec()
        self._metrics.streams_ended.labels(end).inc()

    def stop(self) -> None:
        """Lets all streams end: their readers connect again, to another process, from where they are."""
        for place in tuple(self._places):
            place.stop()
