"""The `i2v` command as a process of its own, in a folder of the test's."""

import asyncio
import contextlib
import os
import subprocess
import sys
import termios
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.forked_programs import ForkedProgram
from tests.support.scripted_server import KEY

GENERATE = ("generate", "--image", "cat.png", "--prompt", "It moves.")
CONTROLLED = ("setsid", "--ctty")
"""Makes stdin the terminal that controls the process: prompts open that one, and Ctrl-C is a signal."""


BY_NAME = (sys.executable, "-m", "services.client.cli")
OF_PYTHON = ("PYTHON", "LANG", "LC_", "TZ")
PIPES: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


@dataclass
class Ended:
    """What a run of the command left."""

    code: int
    out: str
    err: str


class Command:
    """The `i2v` command as a process of its own."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.folder = folder
        self.environment: dict[str, str] = {}
        self.program: tuple[str, ...] = BY_NAME

    def script(self) -> str:
        """Makes bin/i2v in the folder, as an installation does, and returns it as a user types it."""
        script = self.folder / "bin" / "i2v"
        script.parent.mkdir()
        script.write_text(f"#!{sys.executable}\nfrom services.client.cli import main\nmain()\n")
        script.chmod(0o755)
        return "bin/i2v"

    async def start(
        self,
        *arguments: str,
        key: str | None = KEY,
        stdin: int = asyncio.subprocess.DEVNULL,
        stdout: int = asyncio.subprocess.PIPE,
        stderr: int = asyncio.subprocess.PIPE,
        **more: str,
    ) -> asyncio.subprocess.Process:
        """Starts it, with `more` in its environment."""
        return await asyncio.create_subprocess_exec(
            *(*(CONTROLLED if stdin >= 0 and os.isatty(stdin) else ()), *self.program, *arguments),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=self.folder,
            env=self._variables(key, more),
        )

    async def __call__(self, *arguments: str, key: str | None = KEY, **more: str) -> Ended:
        """Runs it to its end: forked, unless the environment is one that Python itself reads at its start."""
        variables = self._variables(key, more)
        if self.program != BY_NAME or any(name.startswith(OF_PYTHON) for name in {**self.environment, **more}):
            return await self.end(await self.start(*arguments, key=key, **more))
        process = await asyncio.to_thread(
            partial(ForkedProgram, BY_NAME[-1], *arguments, cwd=self.folder, env=variables, **PIPES)
        )
        try:
            out, err = await asyncio.to_thread(process.communicate)
        finally:
            process.kill()
        return _ended(process.returncode, out, err)

    def _variables(self, key: str | None, more: dict[str, str]) -> dict[str, str]:
        variables = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "I2V_SERVER": self.address,
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            **self.environment,
            **more,
        }
        return variables if key is None else {**variables, "I2V_KEY": key}

    async def end(self, process: asyncio.subprocess.Process) -> Ended:
        """Waits for the end of one that was started."""
        try:
            out, err = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return _ended(process.returncode, out, err)


def _ended(code: int | None, out: bytes | None, err: bytes | None) -> Ended:
    said = (err or b"").decode()
    assert "Traceback" not in said, said
    return Ended(code or 0, (out or b"").decode(), said)


class Terminal:
    """A pseudo-terminal for one of the command's streams."""

    def __init__(self, columns: int = 80) -> None:
        self._master, self.slave = os.openpty()
        termios.tcsetwinsize(self.slave, (24, columns))

    def hand_over(self) -> None:
        """Leaves the terminal to the process that was started with `slave`."""
        os.close(self.slave)

    def type(self, text: str) -> None:
        """Types a text."""
        os.write(self._master, text.encode())

    async def until(self, text: str) -> str:
        """Returns what is written to it until `text` has come."""
        written = b""
        async with asyncio.timeout(90):
            while text.encode() not in written:
                written += await asyncio.to_thread(os.read, self._master, 4096)
        return written.decode(errors="replace")

    async def read(self) -> str:
        """Returns everything that is written to it until its last writer closes it."""
        written = b""
        with contextlib.suppress(OSError):  # EIO: no process has it open
            while data := await asyncio.to_thread(os.read, self._master, 4096):
                written += data
        os.close(self._master)
        return written.decode(errors="replace")
