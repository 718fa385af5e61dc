"""One installation of the built images for all tests of containers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.container_stack import ContainerStack, Report, running_stack
from tools.containers.container_engine import ContainerEngine

FOLDER = Path("var/containers")
ROWS = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for row in config.stash[ROWS]:
        terminalreporter.write_line(row)


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    """The rows are printed after the tests."""
    return lambda what, number, wanted: pytestconfig.stash[ROWS].append(f"| {what} | {number} | {wanted} |")


@pytest.fixture(scope="session")
def engine() -> Iterator[ContainerEngine]:
    """The engine with the images that `python -m tools.containers` has built."""
    engine = ContainerEngine(FOLDER)
    try:
        yield engine
    finally:
        engine.clear()


@pytest.fixture(scope="session")
def stack(engine: ContainerEngine) -> Iterator[ContainerStack]:
    with running_stack(engine) as stack:
        yield stack
