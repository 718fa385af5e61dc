"""A cache of lookups by name, such as those of API keys by their digests.

What was found is used for four seconds, so that a change holds everywhere soon, also if its notification is lost. What
does not exist is cached for seconds, so a new one works soon. All calls that wait for one name share its lookup.

Names that this process has not found before share two lookups at a time, so guesses do not take the database from known
callers.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from services.errors import Unavailable
from services.orchestrator.ports.clock_and_ids import Clock
from services.reasons import CallReason

CACHE_TIME = timedelta(seconds=4)
CACHE_TIME_UNKNOWN = timedelta(seconds=3)
CACHE_SIZE = 10_000
UNSEEN_AT_ONCE, UNSEEN_WAITING = 2, 100
"""Lookups at a time of names that this process has not found before, and how many more calls may wait for one."""

Found = TypeVar("Found")


class LookupCache(Generic[Found]):
    """Looks names up, and caches the answers."""

    def __init__(self, find: Callable[[str], Awaitable[Found | None]], clock: Clock) -> None:
        """`find` returns None for a name that does not exist."""
        self._find_now = find
        self._clock = clock
        self._known: dict[str, tuple[datetime, Found]] = {}
        """With the moment at which the lookup began."""
        self._unknown: OrderedDict[str, datetime] = OrderedDict()
        self._lookups: dict[str, asyncio.Task[Found | None]] = {}
        self._unseen_slots = asyncio.Semaphore(UNSEEN_AT_ONCE)
        self._unseen_lookups = 0
        self._forgotten = 0
        """How often everything was forgotten: a lookup that began before is not kept."""

    def __len__(self) -> int:
        return len(self._known) + len(self._unknown)

    async def get(self, name: str) -> Found | None:
        """Returns what was found at most four seconds ago; None if it does not exist.

        Raises Unavailable while too many unknown names arrive, and what the lookup raises.
        """
        now, known = self._clock.now(), self._known.get(name)
        # A clock that steps back makes the answer old, not young.
        if known is not None and timedelta() <= now - known[0] < CACHE_TIME:
            return known[1]
        since = self._unknown.get(name)
        if since is not None and timedelta() <= now - since < CACHE_TIME_UNKNOWN:
            return None
        lookup = self._lookups.get(name)
        if lookup is None:
            # The lookup does not end with the first of the calls that share it.
            lookup = self._lookups[name] = asyncio.create_task(self._look_up(name, unseen=known is None))
            lookup.add_done_callback(lambda task: self._end_lookup(name, task))
        return await asyncio.shield(lookup)

    def forget(self) -> None:
        """Makes every answer old: the next call of each name looks it up."""
        self._forgotten += 1
        self._lookups.clear()
        self._unknown.clear()
        # The names stay, so that their lookups do not count as those of unseen ones.
        self._known = {
            name: (datetime.max.replace(tzinfo=since.tzinfo), it) for name, (since, it) in self._known.items()
        }

    async def _look_up(self, name: str, *, unseen: bool) -> Found | None:
        if not unseen:
            return await self._find(name)
        if self._unseen_lookups >= UNSEEN_AT_ONCE + UNSEEN_WAITING:
            raise Unavailable("Too many unknown keys arrive now. Try again in a moment.", reason=CallReason.KEYS_BUSY)
        self._unseen_lookups += 1
        try:
            async with self._unseen_slots:
                return await self._find(name)
        finally:
            self._unseen_lookups -= 1

    async def _find(self, name: str) -> Found | None:
        began, forgotten = self._clock.now(), self._forgotten
        found = await self._find_now(name)
        if forgotten != self._forgotten:
            return found  # right for the calls that waited, but perhaps from before the change
        if found is None:
            self._known.pop(name, None)
            self._unknown[name] = began
            self._unknown.move_to_end(name)
            if len(self._unknown) > CACHE_SIZE:
                self._unknown.popitem(last=False)
            return None
        if len(self._known) >= CACHE_SIZE and name not in self._known:
            self._known.clear()
        self._known[name] = (began, found)
        self._unknown.pop(name, None)
        return found

    def _end_lookup(self, name: str, task: asyncio.Task[Found | None]) -> None:
        if self._lookups.get(name) is task:
            del self._lookups[name]
        if not task.cancelled():
            task.exception()  # waiting calls have it; if all were cancelled, asyncio need not report it
