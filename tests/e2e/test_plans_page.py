"""The plans, costs and invoices by the command, with the commands of both pages as they are there, in order."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.orchestrator.media.probe import probe_output
from tests.support.page_runs import demand_said, page_run, steps_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

STEPS = steps_of("plans", "business")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A copy of the repository's layout after the commands have run there, with their outputs."""
    with page_run(STEPS, "--simulate") as checkout:
        yield checkout


@pytest.mark.parametrize("number", range(len(STEPS)), ids=lambda number: STEPS[number].commands.splitlines()[-1])
def test_a_step_prints_what_the_page_says(folder: Path, number: int) -> None:
    demand_said(STEPS[number], folder, number)


def test_the_steps_leave_a_video_and_a_statement(folder: Path) -> None:
    assert probe_output(folder / "video.mp4").duration_s > 1
    assert (folder / "month.csv").read_text().count("settle") == 3


def test_files_with_keys_are_their_owners_alone(folder: Path) -> None:
    assert (folder / "studio-key").stat().st_mode & 0o077 == 0
