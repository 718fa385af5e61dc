"""Random evictions of two APIs and two workers under load: nothing is lost, and no call of the client fails."""

from pathlib import Path

import pytest

from tools.evictions.plan import evictions
from tools.evictions.random_evictions import evict
from tools.evictions.session import session

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

COUNT, SEED, JOBS_A_SECOND = 6, 2, 8.0


async def test_nothing_is_lost_in_random_evictions(database: str, tmp_path: Path) -> None:
    async with session(database, tmp_path, JOBS_A_SECOND, I2V_FAKE_PAUSE_S="0.2") as running:
        planned = evictions(running.replicas.names, COUNT, SEED)
        evicted = await evict(running.replicas, planned)
        assert (evicted.problems, len(evicted.done)) == ([], COUNT)
        found = await running.end()
    assert found.problems == []
    assert running.load.failures == []
    assert len(running.load.admitted) == sum(found.states.values()) >= COUNT
