"""Lookups of keys: what is cached, for how long, and how many lookups unknown keys may cause."""

import asyncio
from dataclasses import dataclass, field

import pytest

from services.errors import Unavailable
from services.orchestrator.api.lookup_cache import (
    CACHE_SIZE,
    CACHE_TIME,
    CACHE_TIME_UNKNOWN,
    UNSEEN_AT_ONCE,
    UNSEEN_WAITING,
    LookupCache,
)
from tests.support.builders import FakeClock


@dataclass
class Tenants:
    """Tenants by their keys. It answers while its gate is open."""

    by_key: dict[str, str] = field(default_factory=lambda: {"good": "studio"})
    asked: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def find(self, key: str) -> str | None:
        self.asked.append(key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        found = self.by_key.get(key)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        return found


@pytest.fixture
def tenants() -> Tenants:
    return Tenants()


@pytest.fixture
def cache(tenants: Tenants, clock: FakeClock) -> LookupCache[str]:
    return LookupCache(tenants.find, clock)


async def test_an_unknown_key_is_looked_up_once_and_works_seconds_after_it_is_made(
    cache: LookupCache[str], tenants: Tenants, clock: FakeClock
) -> None:
    for _ in range(5):
        assert await cache.get("new") is None
    assert len(tenants.asked) == 1
    tenants.by_key["new"] = "story"
    clock.advance(CACHE_TIME_UNKNOWN.total_seconds())
    assert await cache.get("new") == "story"
    assert CACHE_TIME_UNKNOWN.total_seconds() <= 5


async def test_a_known_key_is_looked_up_once_in_four_seconds(
    cache: LookupCache[str], tenants: Tenants, clock: FakeClock
) -> None:
    for _ in range(100):
        assert await cache.get("good") == "studio"
    clock.advance(CACHE_TIME.total_seconds() - 0.001)
    assert await cache.get("good") == "studio"
    assert len(tenants.asked) == 1


async def test_a_revoked_key_works_no_longer_than_it_is_remembered(
    cache: LookupCache[str], tenants: Tenants, clock: FakeClock
) -> None:
    assert await cache.get("good") == "studio"
    tenants.by_key.clear()
    clock.advance(CACHE_TIME.total_seconds())
    assert await cache.get("good") is None


async def test_a_lookup_that_takes_long_is_remembered_from_its_beginning(
    cache: LookupCache[str], tenants: Tenants, clock: FakeClock
) -> None:
    tenants.gate.clear()
    slow = asyncio.ensure_future(cache.get("good"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    clock.advance(CACHE_TIME.total_seconds())
    tenants.gate.set()
    assert await slow == "studio"
    tenants.by_key.clear()
    assert await cache.get("good") is None


async def test_a_clock_that_steps_back_makes_no_key_work_longer(
    cache: LookupCache[str], tenants: Tenants, clock: FakeClock
) -> None:
    assert await cache.get("good") == "studio"
    tenants.by_key.clear()
    clock.advance(-3600)
    assert await cache.get("good") is None


async def test_a_change_makes_every_answer_old_also_those_under_way(cache: LookupCache[str], tenants: Tenants) -> None:
    assert await cache.get("good") == "studio"
    assert await cache.get("new") is None
    tenants.by_key |= {"good": "story", "new": "story"}
    cache.forget()
    assert [await cache.get(key) for key in ("good", "new")] == ["story", "story"]
    cache.forget()
    tenants.gate.clear()
    before = asyncio.ensure_future(cache.get("good"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tenants.by_key.clear()
    cache.forget()
    after = asyncio.ensure_future(cache.get("good"))
    await asyncio.sleep(0)
    tenants.gate.set()
    assert (await before, await after) == ("story", None)
    assert await cache.get("good") is None, "the answer from before the change was not kept"


async def test_unknown_keys_share_a_few_lookups_and_a_known_one_waits_for_none(
    cache: LookupCache[str], tenants: Tenants, clock: FakeClock
) -> None:
    assert await cache.get("good") == "studio"
    clock.advance(CACHE_TIME.total_seconds())
    tenants.gate.clear()
    guesses = [asyncio.ensure_future(cache.get(f"guess-{number}")) for number in range(UNSEEN_AT_ONCE + UNSEEN_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as caught:
        await cache.get("one-more")
    assert (caught.value.reason, caught.value.retry_after_s) == ("KEYS_BUSY", 1.0)
    good = asyncio.ensure_future(cache.get("good"))
    while "good" not in tenants.asked[1:]:  # noqa: ASYNC110  its lookup begins in a task of its own
        await asyncio.sleep(0)
    assert tenants.most_at_once == UNSEEN_AT_ONCE + 1
    tenants.gate.set()
    assert await good == "studio"
    assert set(await asyncio.gather(*guesses)) == {None}
    assert await cache.get("one-more") is None


async def test_calls_with_one_key_share_one_lookup_though_the_first_goes_away(
    cache: LookupCache[str], tenants: Tenants
) -> None:
    tenants.gate.clear()
    calls = [asyncio.ensure_future(cache.get("good")) for _ in range(50)]
    await asyncio.sleep(0)
    calls[0].cancel()
    tenants.gate.set()
    assert await asyncio.gather(*calls[1:]) == ["studio"] * 49
    assert len(tenants.asked) == 1


async def test_no_number_of_guesses_takes_memory_without_end(cache: LookupCache[str]) -> None:
    for number in range(CACHE_SIZE + 100):
        assert await cache.get(f"guess-{number}") is None
    assert len(cache) == CACHE_SIZE
