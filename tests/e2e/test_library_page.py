"""The library and a batch through the command line, and videos over HTTP, by the commands of their pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documented_commands import ROOT
from tests.support.documented_steps import Step, steps
from tests.support.page_runs import page_run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(360)]

STEPS = [step for page in ("library", "http", "batch") for step in steps((ROOT / f"docs/{page}.md").read_text())]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A copy of the repository's layout after the commands have run there, with their outputs."""
    with page_run(STEPS) as checkout:
        yield checkout


@pytest.mark.parametrize("number", range(len(STEPS)), ids=lambda number: STEPS[number].commands.splitlines()[-1])
def test_a_step_prints_what_the_page_says(folder: Path, number: int) -> None:
    step: Step = STEPS[number]
    output, code = (folder / f"{number}.out").read_text(), int((folder / f"{number}.code").read_text())
    assert (step.missing(output), code) == ("", step.code), output


def test_the_steps_leave_readable_pictures(folder: Path) -> None:
    assert (folder / "thumbnail.webp").read_bytes()[8:12] == b"WEBP"
    assert (folder / "over-http.webp").read_bytes()[8:12] == b"WEBP"
    assert (folder / "over-http.mp4").read_bytes()[4:8] == b"ftyp"
    assert (folder / "contact.png").read_bytes().startswith(b"\x89PNG")
