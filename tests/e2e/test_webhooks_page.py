"""docs/webhooks.md, with its commands as they are there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.page_runs import demand_said, page_run, steps_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(360)]

STEPS = steps_of("webhooks")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A copy of the repository's layout after the commands have run there, with their outputs."""
    with page_run(STEPS) as checkout:
        yield checkout


@pytest.mark.parametrize("number", range(len(STEPS)), ids=lambda number: STEPS[number].commands.splitlines()[-1])
def test_a_step_prints_what_the_page_says(folder: Path, number: int) -> None:
    demand_said(STEPS[number], folder, number)


def test_the_receiver_got_the_events_of_the_job_in_their_order(folder: Path) -> None:
    events = (folder / "events").read_text().splitlines()
    of_job = [int(line.split()[1]) for line in events if line.startswith("job.")]
    assert of_job and of_job[:-1] == sorted(of_job[:-1]), events
