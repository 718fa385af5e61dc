"""Runs of `make demo` and `make run`, with all the processes that they start."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from tests.support.dead_proxies import DEAD
from tools.stack_process import free_port


class Stack:
    """One run of the demo or the stack, whose processes are known by a mark in their environment."""

    def __init__(self, *arguments: str) -> None:
        self.mark = f"I2V_TEST_MARK={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.stack", *arguments],
            # No program uses a proxy for any request to this machine.
            env=os.environ
            | DEAD
            | {name: value, "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'gen'}:{Path.cwd() / 'clients/python/src'}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # as a terminal would give it: a process group that Ctrl-C reaches as a whole
        )

    def read_until(self, wanted: str) -> str:
        """Reads lines until one holds the text."""
        assert self.process.stdout is not None
        seen = ""
        for line in self.process.stdout:
            seen += line
            if wanted in line:
                return seen
        raise AssertionError(f"{wanted!r} never came:\n{seen}")

    def left(self) -> dict[int, str]:
        """Command lines of the processes that it started and that still run."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:300]
            except OSError:
                continue  # it has just ended, or is not ours
        return found

    def wait_until_gone(self) -> dict[int, str]:
        """Waits a few seconds for the last of them."""
        deadline = time.monotonic() + 90
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Kept:
    """Runs of the stack on the same folder and ports."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port, self.metrics_port = free_port(), free_port()
        self.runs: list[Stack] = []

    def start(self, *options: str) -> Stack:
        ports = ("--port", str(self.port), "--metrics-port", str(self.metrics_port), "--studio-port", str(free_port()))
        self.runs.append(Stack("run", "--data", str(self.data), *ports, *options))
        return self.runs[-1]
