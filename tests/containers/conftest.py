"""The images and one installation of them, made once for all tests of containers, and removed at the end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.container_stack import ContainerStack, Report, running_stack
from tools.containers import base_image, image_build
from tools.containers.container_engine import ContainerEngine

FOLDER = Path("var/containers")
ROWS = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--built", action="store_true", help="take the images in var/containers, and keep them")


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
def engine(pytestconfig: pytest.Config) -> Iterator[ContainerEngine]:
    engine = ContainerEngine(FOLDER)
    built = pytestconfig.getoption("--built")
    try:
        if not built:
            base = base_image.make(engine)
            for image in (*image_build.IMAGES, *image_build.TEST_SERVERS):
                image_build.build(engine, base, image)
        yield engine
    finally:
        engine.clear() if built else engine.remove()


@pytest.fixture(scope="session")
def stack(engine: ContainerEngine) -> Iterator[ContainerStack]:
    with running_stack(engine) as stack:
        yield stack
