"""The `i2v` command in front of a scripted server. A test module can override each fixture by one of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.client_command import Command
from tests.support.scripted_server import PICTURE, Rig, scripted


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with scripted() as made:
        yield made


@pytest.fixture
def i2v(rig: Rig, tmp_path: Path) -> Command:
    """Runs in a folder with the picture that `GENERATE` names."""
    (tmp_path / "cat.png").write_bytes(PICTURE)
    return Command(rig.address, tmp_path)
