"""A stack that is started and stopped as a test says, on a folder and ports that stay."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack_runs import Kept


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    runs = Kept(tmp_path)
    yield runs
    for each in runs.runs:
        each.end()
        each.wait_until_gone()
