from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, served


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
async def i2v(database: str, tmp_path: Path, backend: ScriptedBackend) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (backend, 2)}) as running:
        yield running
