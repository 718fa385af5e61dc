"""A program of the service as a process of its own, on free ports of this machine, as operators run it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tools.stack_process import StackError, free_port

READY_S = 120.0
given: set[int] = set()
"""Ports that programs were started on, or will be soon: no process may listen on them yet."""


class Process(Protocol):
    """What a program needs of its process."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    @property
    def returncode(self) -> int | None:
        """Its exit code; None while it runs."""
        ...

    def send_signal(self, signal: int) -> None:
        """Sends a signal. Raises ProcessLookupError."""
        ...

    async def wait(self) -> int:
        """Waits for its end, and returns its exit code."""
        ...


class Begin(Protocol):
    """Starts `python -m NAME ARGUMENTS` with the settings as its environment, and its output in a file."""

    async def __call__(
        self, name: str, *arguments: str, log: Path, root: Path | None, settings: Mapping[str, str]
    ) -> Process:
        """Returns when the process exists."""
        ...


@dataclass
class Program:
    """One running process."""

    address: str
    process: Process
    log: Path

    async def kill(self) -> None:
        """Kills it, as `kill -9` does, if it has not ended."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """Requests its end, and returns its exit code."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


def fresh_port() -> int:
    """Returns a port that is free and that no other program was given."""
    while (port := free_port()) in given:
        pass
    given.add(port)
    return port


async def start(
    name: str,
    *arguments: str,
    log: Path,
    prefix: str,
    address: str = "",
    root: Path | None = None,
    begin: Begin | None = None,
    **settings: str,
) -> Program:
    """Starts `python -m NAME ARGUMENTS`, with its settings as variables, and waits until it serves.

    `address` is where it listens; default: at a port of its own. `root` is the checkout whose code runs; default: the
    working folder. `begin` starts it; default: by its name. Raises StackError if it ends before it serves.
    """
    address = address or f"127.0.0.1:{fresh_port()}"
    listens = {f"{prefix}LISTEN": address, f"{prefix}METRICS_LISTEN": f"127.0.0.1:{fresh_port()}"}
    process = await (begin or _process)(name, *arguments, log=log, root=root, settings=listens | settings)
    running = Program(address, process, log)
    try:
        await _serving(running)
    except BaseException:
        await running.kill()
        raise
    return running


async def run(name: str, *arguments: str, log: Path, root: Path | None = None, **settings: str) -> None:
    """Runs a program that ends by itself. Raises StackError if it fails."""
    process = await _process(name, *arguments, log=log, root=root, settings=settings)
    try:
        if await process.wait():
            raise StackError(log.read_text(errors="replace")[-2000:])
    finally:
        with suppress(ProcessLookupError):
            process.kill()


async def _process(
    name: str, *arguments: str, log: Path, root: Path | None, settings: Mapping[str, str]
) -> asyncio.subprocess.Process:
    root = root or Path.cwd()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{root}:{root / 'gen'}:{root / 'clients/python/src'}",
        **settings,
    }
    with log.open("ab") as file:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-m", name, *arguments),
            cwd=root,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )


@asynccontextmanager
async def program(
    name: str,
    *arguments: str,
    log: Path,
    prefix: str,
    address: str = "",
    root: Path | None = None,
    begin: Begin | None = None,
    **settings: str,
) -> AsyncIterator[Program]:
    """Runs a program until the block is left; serving in it. The arguments are those of `start`."""
    running = await start(name, *arguments, log=log, prefix=prefix, address=address, root=root, begin=begin, **settings)
    try:
        yield running
    finally:
        await running.kill()


async def _serving(running: Program) -> None:
    """Waits until a process says that it serves. Raises StackError when it ends before that."""

    async def answered() -> None:
        request = health_pb2.HealthCheckRequest()
        # A connection of its own: one that is shared may still be that of a server that was killed at this address.
        options = (("grpc.max_reconnect_backoff_ms", 200), ("grpc.use_local_subchannel_pool", 1))
        async with grpc.aio.insecure_channel(running.address, options) as channel:
            watch: Any = health_pb2_grpc.HealthStub(channel).Watch
            async for answer in watch(request, wait_for_ready=True, timeout=READY_S):
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return

    serving, ended = asyncio.create_task(answered()), asyncio.create_task(running.process.wait())
    try:
        await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            raise StackError(running.log.read_text(errors="replace")[-2000:])
        serving.result()
    finally:
        serving.cancel()
        ended.cancel()
