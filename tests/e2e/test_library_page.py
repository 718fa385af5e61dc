"""The library, a batch and the command line, and videos over HTTP, by the commands of their pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.page_runs import demand_said, page_run, steps_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(360)]

STEPS = steps_of("library", "http", "batch", "usage")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A copy of the repository's layout after the commands have run there, with their outputs."""
    with page_run(STEPS) as checkout:
        yield checkout


@pytest.mark.parametrize("number", range(len(STEPS)), ids=lambda number: STEPS[number].commands.splitlines()[-1])
def test_a_step_prints_what_the_page_says(folder: Path, number: int) -> None:
    demand_said(STEPS[number], folder, number)


def test_the_steps_leave_readable_pictures(folder: Path) -> None:
    assert (folder / "thumbnail.webp").read_bytes()[8:12] == b"WEBP"
    assert (folder / "over-http.webp").read_bytes()[8:12] == b"WEBP"
    assert (folder / "over-http.mp4").read_bytes()[4:8] == b"ftyp"
    assert (folder / "contact.png").read_bytes().startswith(b"\x89PNG")
