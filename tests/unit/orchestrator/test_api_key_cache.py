"""Keys: what is cached, for how long, and how many lookups unknown keys may cause."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.errors import Unauthenticated, Unavailable
from services.orchestrator.api.api_key_cache import (
    CACHE_SIZE,
    CACHE_TIME,
    CACHE_TIME_UNKNOWN,
    UNSEEN_AT_ONCE,
    UNSEEN_WAITING,
    ApiKeys,
    digest,
)
from services.orchestrator.ports.tenants import Tenant
from tests.support.builders import FakeClock, a_plan


@dataclass
class Keys:
    """Tenants by their keys. It answers while its gate is open."""

    tenants: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def of_key(self, key_sha256: str) -> Tenant | None:
        self.asked.append(key_sha256)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        tenant = self.tenants.get(key_sha256)
        return None if tenant is None else Tenant(tenant, "test")


@pytest.fixture
def keys() -> Keys:
    return Keys({digest("good"): "studio"})


@pytest.fixture
def tenants(keys: Any, clock: FakeClock) -> ApiKeys:
    return ApiKeys(keys, {"test": a_plan()}, clock)


async def unknown(tenants: ApiKeys, key: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await tenants.verify(key)
    assert caught.value.reason == "API_KEY_UNKNOWN"


async def test_an_unknown_key_is_looked_up_once_and_works_seconds_after_it_is_made(
    tenants: ApiKeys, keys: Keys, clock: FakeClock
) -> None:
    for _ in range(5):
        await unknown(tenants, "new")
    assert len(keys.asked) == 1
    keys.tenants[digest("new")] = "story"
    clock.advance(CACHE_TIME_UNKNOWN.total_seconds())
    assert await tenants.verify("new") == "story"
    assert CACHE_TIME_UNKNOWN.total_seconds() <= 5


async def test_a_revoked_key_works_no_longer_than_it_is_remembered(
    tenants: ApiKeys, keys: Keys, clock: FakeClock
) -> None:
    assert await tenants.verify("good") == "studio"
    keys.tenants.clear()
    clock.advance(CACHE_TIME.total_seconds() - 1)
    assert await tenants.verify("good") == "studio"
    clock.advance(1)
    await unknown(tenants, "good")


async def test_unknown_keys_share_a_few_lookups_and_a_known_one_waits_for_none(
    tenants: ApiKeys, keys: Keys, clock: FakeClock
) -> None:
    assert await tenants.verify("good") == "studio"
    clock.advance(CACHE_TIME.total_seconds())
    keys.gate.clear()
    guesses = [
        asyncio.ensure_future(tenants.verify(f"guess-{number}")) for number in range(UNSEEN_AT_ONCE + UNSEEN_WAITING)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as caught:
        await tenants.verify("one-more")
    assert (caught.value.reason, caught.value.retry_after_s) == ("KEYS_BUSY", 1.0)
    good = asyncio.ensure_future(tenants.verify("good"))
    while digest("good") not in keys.asked[1:]:  # noqa: ASYNC110  its lookup begins in a task of its own
        await asyncio.sleep(0)
    assert keys.most_at_once == UNSEEN_AT_ONCE + 1
    keys.gate.set()
    assert await good == "studio"
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert all(isinstance(answer, Unauthenticated) for answer in answers)
    await unknown(tenants, "one-more")


async def test_calls_with_one_key_share_one_lookup_though_the_first_goes_away(tenants: ApiKeys, keys: Keys) -> None:
    keys.gate.clear()
    calls = [asyncio.ensure_future(tenants.verify("good")) for _ in range(50)]
    await asyncio.sleep(0)
    calls[0].cancel()
    keys.gate.set()
    assert await asyncio.gather(*calls[1:]) == ["studio"] * 49
    assert len(keys.asked) == 1


async def test_no_number_of_guesses_takes_memory_without_end(tenants: ApiKeys) -> None:
    for number in range(CACHE_SIZE + 100):
        with pytest.raises(Unauthenticated):
            await tenants.verify(f"guess-{number}")
    assert len(tenants._unknown) == CACHE_SIZE
