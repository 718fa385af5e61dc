"""A scripted vendor, and the service that submits tasks to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.paid_work import VIDEO, remotely
from tests.support.scripted_provider import ScriptedProvider
from tests.support.served_orchestrator import Served


@pytest.fixture
def vendor() -> ScriptedProvider:
    return ScriptedProvider(VIDEO)


@pytest.fixture
async def i2v(database: str, tmp_path: Path, vendor: ScriptedProvider) -> AsyncIterator[Served]:
    async with remotely(database, tmp_path, vendor) as running:
        yield running
