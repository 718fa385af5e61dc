"""What players poll: many polls share one call, and errors of a moment do not reach them."""

import asyncio

import grpc
import pytest
from i2v.v1 import live_pb2

from services.reasons import AccessReason
from services.rpc.status_codes import Failure
from services.studio.api_error import ApiError
from services.studio.live.live_views import KEPT, LiveViews
from services.studio.live.takes import Fragment

AWAY = Failure(grpc.StatusCode.UNAVAILABLE, "away")
EXPIRED = Failure(grpc.StatusCode.UNAUTHENTICATED, "expired", AccessReason.SIGNED_URL_EXPIRED)


class Api:
    def __init__(self) -> None:
        self.calls = 0
        self.failure: Failure | None = None
        self.fragments = 0
        self.replaced: list[int] = []
        self.headers = dict[int, bytes]()
        """By the number of the announcement; those of others are the same."""
        self.read: list[int] = []
        self.asked, self.held = asyncio.Event(), asyncio.Event()
        self.held.set()

    async def find(self, token: str) -> live_pb2.Live:
        self.calls += 1
        self.asked.set()
        await self.held.wait()
        if self.failure is not None:
            raise ApiError(self.failure)
        indices = [*range(self.fragments), *self.replaced]
        made = [live_pb2.LiveFragment(index=at, asset=f"assets/{n:064x}", frames=4) for n, at in enumerate(indices)]
        return live_pb2.Live(job="jobs/a", fps=8, fragments=made)

    async def header(self, token: str, fragment: Fragment) -> bytes:
        self.read.append(int(fragment.sha256, 16))
        return self.headers.get(self.read[-1], b"usual")


@pytest.mark.parametrize(("headers", "inits"), [({}, [0, 0, 0]), ({4: b"other"}, [0, 0, 2]), ({4: b""}, [0, 0, 2])])
async def test_headers_are_read_only_of_what_a_replacement_joins(headers: dict[int, bytes], inits: list[int]) -> None:
    api = Api()
    api.fragments, api.headers = 2, headers
    await LiveViews(api.find, api.header).now("a")
    assert api.read == []
    api.replaced = [0, 1, 2]
    earlier, _ = (await LiveViews(api.find, api.header).now("a")).takes
    assert ([each.init for each in earlier.segments], api.read) == (inits, [0, 4])


async def test_ten_thousand_polls_of_a_moment_are_one_call() -> None:
    api = Api()
    api.held.clear()
    views = LiveViews(api.find, api.header)
    polls = [asyncio.create_task(views.now("a")) for _ in range(10_000)]
    await api.asked.wait()
    polls[0].cancel()  # the player that caused the call goes away
    api.held.set()
    found = await asyncio.gather(*polls[1:])
    assert (api.calls, len({id(each) for each in found})) == (1, 1)
    api.fragments = 1
    assert found[0].playlist(0) is found[1].playlist(0)


async def test_while_the_api_is_away_the_last_answer_holds_and_a_refusal_holds_at_once() -> None:
    api = Api()
    views = LiveViews(api.find, api.header)
    first = await views.now("a")
    api.failure = AWAY
    while api.calls < 2:
        assert await views.now("a") is first
        await asyncio.sleep(0.01)
    with pytest.raises(ApiError):
        await views.now("b")
    api.failure = EXPIRED
    with pytest.raises(ApiError):
        while True:
            await views.now("a")
            await asyncio.sleep(0.01)
    api.failure = AWAY
    with pytest.raises(ApiError):  # what was refused is forgotten
        await views.now("a")


async def test_a_player_waits_for_the_first_fragment_and_not_without_end() -> None:
    api = Api()
    views = LiveViews(api.find, api.header, wait_s=0.3)
    assert not (await views.begun("a")).has_begun
    waiting = asyncio.create_task(LiveViews(api.find, api.header, wait_s=60).begun("a"))
    for _ in range(2):
        api.asked.clear()
        await api.asked.wait()
    api.fragments = 1
    assert (await waiting).has_begun


async def test_the_views_that_are_kept_are_bounded() -> None:
    api = Api()
    views = LiveViews(api.find, api.header)
    for number in range(KEPT + 50):
        await views.now(str(number))
    assert len(views) == KEPT
