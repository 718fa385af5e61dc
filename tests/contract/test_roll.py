"""What the roll of workers keeps: a name is one worker's, and a silent one is buried once."""

import asyncio
from datetime import timedelta

import pytest

from services.orchestrator.store.postgres import PostgresStore
from services.orchestrator.store.roll import NameTaken, PostgresRoll
from tests.builders import FakeClock


async def test_a_silent_worker_is_buried_by_one_alone(store: PostgresStore, database: str, clock: FakeClock) -> None:
    roll = PostgresRoll(store.database, database, clock)
    await roll.beat("worker-0")
    since = clock.now() + timedelta(seconds=1)
    assert await roll.silent(since) == ["worker-0"]
    assert sorted(await asyncio.gather(*(roll.bury("worker-0", since) for _ in range(5)))) == [False] * 4 + [True]


async def test_a_name_is_one_workers_until_it_is_given_back(
    store: PostgresStore, database: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.orchestrator.store.roll.CLAIM_TRIES", 1)
    first, second = PostgresRoll(store.database, database, clock), PostgresRoll(store.database, database, clock)
    await first.claim("worker-0")
    with pytest.raises(NameTaken):
        await second.claim("worker-0")
    await second.claim("worker-1")
    await first.release()
    await first.claim("worker-0")
    await first.release()
    await second.release()
