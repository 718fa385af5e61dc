"""A stack that a test starts and stops, always with the same folder and ports."""

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
