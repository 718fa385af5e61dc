"""Every command of the documentation, unchanged, against the programs that `make run SIMULATE=1` starts."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.orchestrator.media.probe import probe_output
from tests.support.documented_commands import ROOT, Command, commands
from tests.support.stack_runs import Stack
from tools.stack import DATA, PORT
from tools.stack_process import HOST, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

RUN = [each for each in commands() if not each.why_not_run]
STACKS = f"{HOST}:{PORT}"
"""The address of the stack in the documentation."""
AT_ONCE = 3
LIMIT_S = 120.0


class Checkout:
    """A copy of the repository's layout with data of its own, where the commands run."""

    def __init__(self, folder: Path, data: Path) -> None:
        folder.mkdir()
        self.folder = folder
        for each in ROOT.iterdir():
            if each.name not in (DATA.name, ".git"):
                (folder / each.name).symlink_to(each)
        (folder / DATA).symlink_to(data)

    def run(self, command: Command, address: str, database: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command unchanged, except for the port of the stack, because the documented port may be in use."""
        text = command.text.replace(STACKS, address)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("I2V_")}
        settings = {"I2V_SERVER": address, "I2V_DATABASE_URL": database, "I2V_DATA": str(self.folder / "own")}
        environment = inherited | settings | {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}:{ROOT / 'clients/python/src'}"}
        typed = ["sh", "-c", text]
        if command.language == "python":
            (self.folder / "example.py").write_text(text)
            typed = [sys.executable, "example.py"]
        return subprocess.run(
            typed,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )


class Ran:
    """The result of a command."""

    def __init__(self, checkout: Checkout, result: "subprocess.CompletedProcess[str]") -> None:
        self.folder = checkout.folder
        self.code, self.out, self.err = result.returncode, result.stdout, result.stderr


@pytest.fixture(scope="module")
def ran(postgres: str) -> Iterator[dict[Command, Ran]]:
    """The results of all commands: each runs once, several at a time. Commands that need a database use `postgres`."""
    # Not among pytest's own folders: PostgreSQL's user must be able to read all parent folders.
    with tempfile.TemporaryDirectory(prefix="i2v-docs-", ignore_cleanup_errors=True) as kept:
        data, port = Path(kept) / "var", free_port()
        ports = ("--port", str(port), "--metrics-port", str(free_port()), "--studio-port", str(free_port()))
        stack = Stack("run", "--simulate", "--data", str(data), *ports)
        try:
            stack.read_until("Ctrl-C stops everything")
            checkouts = [Checkout(Path(kept) / str(number), data) for number in range(len(RUN))]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                results = pool.map(lambda at, typed: at.run(typed, f"{HOST}:{port}", postgres), checkouts, RUN)
                yield {command: Ran(*each) for command, *each in zip(RUN, checkouts, results, strict=True)}
        finally:
            stack.end()
            stack.wait_until_gone()


@pytest.mark.parametrize("command", RUN, ids=str)
def test_a_command_of_the_documentation_does_what_it_says(ran: dict[Command, Ran], command: Command) -> None:
    ended = ran[command]
    assert ended.code == 0, (command.text, ended.out, ended.err)
    assert ended.out
    for name in command.videos:
        assert probe_output(ended.folder / name).duration_s > 1
    if "SubmitJob" in command.text:
        assert '"name": "jobs/' in ended.out
