"""The service's programs for tests, at a third of the processor time: a process that has imported them forks for each.

Each is a process of its own and a child of the tests' process, with the folder, the environment and the streams that it
was given: it can be watched, stopped and killed like one that was started by its name. Only its command line in /proc
is another. Tests of a start itself, of memory and of the whole stack start programs by their names.
"""

import asyncio
import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PYTHONPATH = f"{ROOT}:{ROOT / 'gen'}:{ROOT / 'clients/python/src'}"
IMPORTED = (
    "services.grpc_verbosity",
    "services.orchestrator.api_app",
    "services.orchestrator.worker_app",
    "services.orchestrator.webhooks_app",
    "services.orchestrator.migration",
    "services.studio.app",
    "services.providers.app",
    "services.providers.prompt.app",
    "services.client.admin_commands",
)
SET_CHILD_SUBREAPER = 36
"""Of prctl(2): orphans among the descendants become children of the process."""


class ForkedProgram(subprocess.Popen[bytes]):
    """`python -W ignore -m MODULE ARGUMENTS` of this checkout."""

    def __init__(self, module: str, *arguments: str, cwd: Path = ROOT, env: Mapping[str, str], **streams: Any) -> None:
        self._module = module
        super().__init__([sys.executable, "-W", "ignore", "-m", module, *arguments], cwd=cwd, env=env, **streams)

    def _execute_child(self, args: Sequence[str], *given: Any) -> None:
        # The place of each is that of CPython's own `subprocess`.
        cwd, env = given[4], given[5]
        pipes = given[9:15]
        own = [pipe if pipe != -1 else number for number, pipe in enumerate((pipes[0], pipes[3], pipes[5]))]
        self.pid = _parent().fork([self._module, list(args[5:]), str(cwd), dict(env)], own)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


class AwaitedProgram:
    """A program whose end is awaited, as that of one of asyncio's own."""

    def __init__(self, program: ForkedProgram) -> None:
        self._program = program

    @property
    def pid(self) -> int:
        return self._program.pid

    @property
    def returncode(self) -> int | None:
        return self._program.poll()

    def send_signal(self, number: int) -> None:
        if self._program.poll() is not None:
            raise ProcessLookupError
        self._program.send_signal(number)

    async def wait(self) -> int:
        if (code := self._program.poll()) is not None:
            return code
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        descriptor = os.pidfd_open(self.pid)
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self._program.wait()


async def forked(
    name: str, *arguments: str, log: Path, root: Path | None, settings: Mapping[str, str]
) -> AwaitedProgram:
    """Starts a program for `tools.evictions.program`."""
    assert root is None
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": PYTHONPATH, **settings}
    with log.open("ab") as file:
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file}
        return AwaitedProgram(await asyncio.to_thread(ForkedProgram, name, *arguments, env=environment, **streams))


class Parent:
    """The process that has imported the programs."""

    def __init__(self) -> None:
        self._calls, theirs = socket.socketpair()
        self._one_at_a_time = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", __name__, str(theirs.fileno())],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": PYTHONPATH, "OMP_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()],
            )

        atexit.register(self._end)

    def _end(self) -> None:
        self._calls.close()
        self._process.wait()

    def fork(self, call: object, streams: Sequence[int]) -> int:
        """Returns the id of a new child of this process."""
        text = json.dumps(call).encode()
        with self._one_at_a_time:
            _adopt_orphans(True)
            try:
                socket.send_fds(self._calls, [len(text).to_bytes(4, "big")], streams)
                self._calls.sendall(text)
                pid = int(self._calls.recv(16))
            finally:
                _adopt_orphans(False)
        return pid


@cache
def _parent() -> Parent:
    return Parent()


def _adopt_orphans(adopt: bool) -> None:
    assert ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0) == 0


def _serve(calls: socket.socket) -> None:
    """Forks for each call, until the tests' process ends. Returns in each new program, whose code it then runs."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    while True:
        head, streams, _, _ = socket.recv_fds(calls, 4, 3)
        if not head:
            os._exit(0)
        length, text = int.from_bytes(head, "big"), b""
        while len(text) < length:
            text += calls.recv(length - len(text))
        ours, theirs = os.pipe()
        between = os.fork()
        if between == 0:
            # The end of the process between makes its child one of the tests' process.
            if child := os.fork():
                os.write(theirs, str(child).encode())
                os._exit(0)
            break
        for each in (theirs, *streams):
            os.close(each)
        os.waitpid(between, 0)
        calls.sendall(os.read(ours, 16))
        os.close(ours)
    module, arguments, folder, environment = json.loads(text)
    for number, each in enumerate(streams):
        os.dup2(each, number)
    for each in (ours, theirs, *streams):
        os.close(each)
    calls.close()
    # What Python has found out of its streams is out of date. The old ones stay open with their numbers.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update({"GRPC_VERBOSITY": "NONE"} | environment)  # as services/grpc_verbosity.py
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
