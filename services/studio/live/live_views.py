"""LiveViews: what players poll. All polls of one token within a moment share one call of the API."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction

from i2v.v1 import live_pb2

from services.studio.api_error import ApiError
from services.studio.live import playlists
from services.studio.live.takes import Alike, Fragment, Take, takes
from services.studio.refusal import BUSY

FRESH_S, FRESH_ENDED_S = 0.25, 2.0
"""Seconds for which an answer of the API is used; also how late a deletion is noticed."""
AWAY_S = 10.0
"""Seconds for which the last answer is used while the API is away: some players give up at the first error."""
WAIT_S = 10.0
"""Seconds that a player may wait for the first fragment: less than its own patience."""
KEPT = 256
Header = Callable[[str, Fragment], Awaitable[bytes]]
"""Returns the initialization segment of a fragment, for players with this token; empty: there is none."""


@dataclass(frozen=True, slots=True)
class LiveView:
    """A job at one moment, as the players with one token see it."""

    token: str
    job: str
    """`jobs/{id}`."""
    ended: bool
    takes: list[Take]
    rate: Fraction
    """Frames a second; 0 before the first fragment."""
    width: int
    height: int
    expire_time: datetime
    """Of the token."""
    _texts: dict[int, str] = field(default_factory=dict)

    @property
    def has_begun(self) -> bool:
        """Whether there is a fragment."""
        return bool(self.takes[-1].segments)

    def playlist(self, take: int) -> str:
        """Returns the media playlist of a take; the polls of a moment share it."""
        if take not in self._texts:
            self._texts[take] = playlists.media(self.takes[take], token=self.token, rate=self.rate, ended=self.ended)
        return self._texts[take]


def fragments(live: live_pb2.Live) -> list[Fragment]:
    """Returns all fragments that were announced, in order."""
    return [
        Fragment(each.index, each.asset.removeprefix("assets/"), each.frames, each.size_bytes)
        for each in live.fragments
    ]


def view(token: str, live: live_pb2.Live, found: list[Take]) -> LiveView:
    """Returns what the API said."""
    return LiveView(
        token,
        live.job,
        live.ended,
        found,
        Fraction(live.fps).limit_denominator(1001),
        live.size.width,
        live.size.height,
        live.expire_time.ToDatetime(tzinfo=UTC),
    )


class LiveViews:
    """The views of the tokens that were used last."""

    def __init__(
        self, find: Callable[[str], Awaitable[live_pb2.Live]], header: Header, *, wait_s: float = WAIT_S
    ) -> None:
        """`find` and `header` ask the API; they raise ApiError."""
        self._find = find
        self._header = header
        self._wait_s = wait_s
        self._known: OrderedDict[str, tuple[float, LiveView]] = OrderedDict()
        """With the time at which the call of the API began."""
        self._lookups: dict[str, asyncio.Task[LiveView]] = {}

    def __len__(self) -> int:
        return len(self._known)

    async def now(self, token: str) -> LiveView:
        """Returns a view that is at most a moment old. Raises ApiError."""
        at, known = asyncio.get_running_loop().time(), self._known.get(token)
        if known is not None and at - known[0] < (FRESH_ENDED_S if known[1].ended else FRESH_S):
            return known[1]
        lookup = self._lookups.get(token)
        if lookup is None:
            # It does not end with the first of the requests that share it.
            lookup = self._lookups[token] = asyncio.create_task(self._look_up(token, at), name="live-view")
            lookup.add_done_callback(lambda task: self._end(token, task))
        try:
            return await asyncio.shield(lookup)
        except ApiError as error:
            if known is not None and error.failure.code in BUSY and at - known[0] < AWAY_S:
                return known[1]
            raise

    async def begun(self, token: str) -> LiveView:
        """Returns a view with a fragment, or the last one after the longest wait for it. Raises ApiError."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._wait_s
        while True:
            found = await self.now(token)
            if found.has_begun or found.ended or clock() >= until:
                return found
            await asyncio.sleep(FRESH_S)

    async def _look_up(self, token: str, at: float) -> LiveView:
        try:
            live = await self._find(token)
            announced = fragments(live)
            found = view(token, live, takes(announced, await self._alike(token, announced)))
        except ApiError as error:
            if error.failure.code not in BUSY:
                self._known.pop(token, None)
            raise
        self._known[token] = at, found
        self._known.move_to_end(token)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return found

    async def _alike(self, token: str, announced: list[Fragment]) -> Alike:
        """Returns which replacements go on with the initialization segment of what they follow. Raises ApiError."""
        asked = dict[Fragment, None]()

        def note(before: Fragment, after: Fragment) -> bool:
            asked.update({before: None, after: None})
            return False

        takes(announced, note)
        headers = {each: await self._header(token, each) for each in asked}
        return lambda before, after: headers[before] == headers[after] != b""

    def _end(self, token: str, task: asyncio.Task[LiveView]) -> None:
        del self._lookups[token]
        if not task.cancelled():
            task.exception()  # the requests that waited have it; without any, asyncio need not report it
