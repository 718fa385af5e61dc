"""The four plans through the command line, with the commands of docs/plans.md as they are there, in order."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.orchestrator.media.probe import probe_output
from tests.support.documented_commands import ROOT
from tests.support.documented_steps import Step, script, steps
from tests.support.stack_runs import Stack
from tools.stack import DATA
from tools.stack_process import HOST, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

STEPS = steps((ROOT / "docs/plans.md").read_text())
LIMIT_S = 150.0


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A copy of the repository's layout after the commands have run there, with their outputs."""
    # Not among pytest's own folders: PostgreSQL's user must be able to read all parent folders.
    with tempfile.TemporaryDirectory(prefix="i2v-plans-", ignore_cleanup_errors=True) as kept:
        checkout, port = Path(kept) / "checkout", free_port()
        checkout.mkdir()
        for each in ROOT.iterdir():
            if each.name not in (DATA.name, ".git"):
                (checkout / each.name).symlink_to(each)
        data = checkout / DATA
        ports = ("--port", str(port), "--metrics-port", str(free_port()), "--studio-port", str(free_port()))
        stack = Stack("run", "--simulate", "--data", str(data), *ports)
        try:
            stack.read_until("Ctrl-C stops everything")
            inherited = {name: value for name, value in os.environ.items() if not name.startswith("I2V_")}
            more = {"I2V_SERVER": f"{HOST}:{port}", "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
            subprocess.run(["sh", "-c", script(STEPS)], cwd=checkout, env=inherited | more, timeout=LIMIT_S, check=True)
            yield checkout
        finally:
            stack.end()
            stack.wait_until_gone()


@pytest.mark.parametrize("number", range(len(STEPS)), ids=lambda number: STEPS[number].commands.splitlines()[-1])
def test_a_step_prints_what_the_page_says(folder: Path, number: int) -> None:
    step: Step = STEPS[number]
    output, code = (folder / f"{number}.out").read_text(), int((folder / f"{number}.code").read_text())
    assert (step.missing(output), code) == ("", step.code), output


def test_the_steps_leave_a_video_and_a_statement(folder: Path) -> None:
    assert probe_output(folder / "video.mp4").duration_s > 1
    assert (folder / "month.csv").read_text().count("settle") == 3


def test_files_with_keys_are_their_owners_alone(folder: Path) -> None:
    assert (folder / "studio-key").stat().st_mode & 0o077 == 0
