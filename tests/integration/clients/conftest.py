from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.studio_rig import Rig, before_an_api


@pytest.fixture
async def rig(database: str, tmp_path: Path) -> AsyncIterator[Rig]:
    async with before_an_api(database, tmp_path / "served") as made:
        yield made
