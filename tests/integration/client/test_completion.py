"""`i2v completion` in real shells, with names from a server."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from i2v.v1 import job_pb2

from tests.support.client_command import Command, Terminal
from tests.support.scripted_server import KEY, Rig

BASH = """
eval "$(i2v completion bash)"
read -ra COMP_WORDS <<< "$1"
[[ $1 == *' ' ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_i2v_completion i2v
printf '%s\\n' "${COMPREPLY[@]}"
"""


@dataclass
class Shell:
    """A shell that finds the command."""

    folder: Path
    environment: dict[str, str]

    async def __call__(self, *command: str) -> list[str]:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.folder,
            env=self.environment,
        )
        out, err = await process.communicate()
        assert err == b"", err
        return out.decode().split("\n")[:-1]

    async def bash(self, line: str) -> list[str]:
        """What bash proposes after a line."""
        return await self("bash", "--norc", "-c", BASH, "bash", line)


@pytest.fixture
async def shell(rig: Rig, i2v: Command) -> AsyncIterator[Shell]:
    script = i2v.folder / i2v.script()
    environment = {
        "PATH": f"{script.parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": str(i2v.folder),
        "TERM": "xterm-256color",
        "I2V_SERVER": rig.address,
        "I2V_KEY": KEY,
    }
    yield Shell(i2v.folder, environment)


async def test_bash_completes_commands_options_and_names(rig: Rig, shell: Shell) -> None:
    rig.script.listed = [job_pb2.Job(name=f"jobs/{n}") for n in ("7a", "7b", "8", "9;rm", "*", "$(id)", "a\nb")]
    assert await shell.bash("i2v mod") == ["models"]
    assert await shell.bash("i2v watch 7") == ["7a", "7b"]
    assert await shell.bash("i2v watch jobs/") == ["jobs/7a", "jobs/7b", "jobs/8"]
    assert await shell.bash("i2v watch ") == ["7a", "7b", "8"]
    assert await shell.bash("i2v generate --model na") == ["nano"]
    assert await shell.bash("i2v watch --af") == ["--after"]


async def test_without_a_server_or_a_key_there_are_no_names_and_no_error(shell: Shell) -> None:
    with socket.socket() as silent:  # it accepts and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        shell.environment["I2V_SERVER"] = f"127.0.0.1:{silent.getsockname()[1]}"
        assert await shell.bash("i2v watch ") == [""]
    shell.environment["I2V_SERVER"] = "127.0.0.1:1"
    assert await shell.bash("i2v watch ") == [""]
    assert await shell.bash("i2v --server nonsense watch ") == [""]
    del shell.environment["I2V_KEY"]
    assert await shell.bash("i2v watch ") == [""]


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
async def test_fish_completes_names_with_a_line_about_each(rig: Rig, shell: Shell) -> None:
    rig.script.listed = [job_pb2.Job(name="jobs/7", state=job_pb2.Job.RUNNING)]
    script = 'i2v completion fish | source; complete -C "i2v watch "'
    assert await shell("fish", "--no-config", "-c", script) == ["7\tRUNNING"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
async def test_zsh_completes_names_at_its_prompt(rig: Rig, shell: Shell) -> None:
    rig.script.listed = [job_pb2.Job(name="jobs/seven", state=job_pb2.Job.RUNNING)]
    terminal = Terminal(200)
    process = await asyncio.create_subprocess_exec(
        *("setsid", "--ctty", "zsh", "-f", "-i"),
        stdin=terminal.slave,
        stdout=terminal.slave,
        stderr=terminal.slave,
        cwd=shell.folder,
        env=shell.environment,
    )
    terminal.hand_over()
    terminal.type('autoload -Uz compinit; compinit -u; eval "$(i2v completion zsh)"; echo rea""dy\n')
    await terminal.until("ready")
    terminal.type("i2v watch sev\t")
    await terminal.until("seven")
    terminal.type("\x15exit\n")
    await terminal.read()
    assert await process.wait() == 0
