import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.tenants.conftest import FIRST_OPERATOR
from tests.support.live_rig import stepped
from tests.support.page_rig import Person, Stage, a_browser, a_person
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


@pytest.fixture(scope="module")
async def stage(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A service and a browser for the page's tests of a file."""
    backend, gate = stepped()
    gate.set()
    folder = tmp_path_factory.mktemp("page")
    operator = folder / "operator-key"
    operator.write_text(FIRST_OPERATOR)
    async with (
        before_an_api(shared_database, folder, backend, operator_key_file=str(operator)) as rig,
        a_browser() as browser,
    ):
        yield Stage(rig, gate, browser)
        gate.set()


@pytest.fixture
async def person(stage: Stage) -> AsyncIterator[Person]:
    """A person whom no other test knows, signed in. The page has complained of nothing."""
    async with a_person(stage.browser, stage.rig.address) as made:
        await made.sign_in("studio-key", f"user-{uuid.uuid4().hex[:12]}")
        yield made
        assert made.complaints == []
