import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.tenants.conftest import FIRST_OPERATOR
from tests.support.studio_rig import Rig, before_an_api


@pytest.fixture
async def rig(database: str, tmp_path: Path) -> AsyncIterator[Rig]:
    async with before_an_api(database, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
async def shared_rig(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("studio")
    operator = folder / "operator-key"
    operator.write_text(FIRST_OPERATOR)
    async with before_an_api(shared_database, folder, operator_key_file=str(operator)) as made:
        yield made


@pytest.fixture
def own(shared_rig: Rig) -> Rig:
    """The rig of the file, for a user whom no other test knows."""
    return shared_rig.of(f"user-{uuid.uuid4().hex}")
