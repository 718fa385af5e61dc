"""Runs the steps of a page of the documentation against a running stack, in a copy of the repository's layout."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.documented_commands import ROOT
from tests.support.documented_steps import Step, script, steps
from tests.support.stack_runs import Stack
from tools.stack import DATA
from tools.stack_process import HOST, free_port

LIMIT_S = 240.0
"""Of all commands, in the shell that most users have: dash would hide what bash does with background jobs."""


def steps_of(*pages: str) -> list[Step]:
    """Returns the steps of pages of the documentation, in order."""
    return [step for page in pages for step in steps((ROOT / f"docs/{page}.md").read_text())]


def demand_said(step: Step, folder: Path, number: int) -> None:
    """Fails unless a step of a run printed what its page says, with the exit code there."""
    output, code = (folder / f"{number}.out").read_text(), int((folder / f"{number}.code").read_text())
    assert (step.missing(output), code) == ("", step.code), output


@contextmanager
def page_run(steps: Sequence[Step], *options: str) -> Iterator[Path]:
    """Yields the folder in which the commands have run, with the output and the exit code of each step."""
    # Not among pytest's own folders: PostgreSQL's user must be able to read all parent folders.
    with tempfile.TemporaryDirectory(prefix="i2v-page-", ignore_cleanup_errors=True) as kept:
        checkout, port = Path(kept) / "checkout", free_port()
        checkout.mkdir()
        for each in ROOT.iterdir():
            if each.name not in (DATA.name, ".git"):
                (checkout / each.name).symlink_to(each)
        data = checkout / DATA
        studio_port = str(free_port())
        ports = ("--port", str(port), "--metrics-port", str(free_port()), "--studio-port", studio_port)
        stack = Stack("run", *options, "--data", str(data), *ports)
        try:
            stack.read_until("Ctrl-C stops everything")
            inherited = {name: value for name, value in os.environ.items() if not name.startswith("I2V_")}
            more = {
                "I2V_SERVER": f"{HOST}:{port}",
                "STUDIO_URL": f"http://{HOST}:{studio_port}",
                "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}:{ROOT / 'clients/python/src'}",
            }
            subprocess.run(
                ["bash", "-c", script(list(steps))], cwd=checkout, env=inherited | more, timeout=LIMIT_S, check=True
            )
            yield checkout
        finally:
            stack.end()
            stack.wait_until_gone()
