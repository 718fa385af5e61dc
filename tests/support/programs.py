"""The programs of the service as processes of their own, on free ports of this machine, as operators run them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tools.simulators.fal import FalSimulator
from tools.simulators.llm import MODEL, LlmSimulator
from tools.simulators.simulator import Simulator
from tools.simulators.wavespeed import WaveSpeedSimulator
from tools.stack_process import free_port

READY_S = 120.0
ACCESS = "what-the-orchestrator-shows"
OPERATORS = "what-operators-show"
given: set[int] = set()
"""Ports that programs were started on, or will be soon: no process may listen on them yet."""


@dataclass
class Program:
    """One running process."""

    address: str
    process: asyncio.subprocess.Process
    log: Path

    async def kill(self) -> None:
        """Kills it, as `kill -9` does."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """Requests its end, and returns its exit code."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        return await self.process.wait()


def fresh_port() -> int:
    """One that is free and that no other program was given."""
    while (port := free_port()) in given:
        pass
    given.add(port)
    return port


@asynccontextmanager
async def program(
    name: str, *arguments: str, log: Path, prefix: str, address: str = "", **settings: str
) -> AsyncIterator[Program]:
    """Runs `python -m NAME ARGUMENTS`, with its settings as variables, until the block is left; serving in it.

    `address` is where it listens; default: at a port of its own.
    """
    address = address or f"127.0.0.1:{fresh_port()}"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'gen'}",
        f"{prefix}LISTEN": address,
        f"{prefix}METRICS_LISTEN": f"127.0.0.1:{fresh_port()}",
        **settings,
    }
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-m", name, *arguments),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    running = Program(address, process, log)
    try:
        await _serving(running)
        yield running
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _serving(running: Program) -> None:
    """Waits until a process logs that it serves. Raises AssertionError when it ends before that."""

    async def wait_for_ready_line() -> None:
        request = health_pb2.HealthCheckRequest()
        # A connection of its own: one that is shared may still be that of a server that was killed at this address.
        options = (("grpc.max_reconnect_backoff_ms", 200), ("grpc.use_local_subchannel_pool", 1))
        async with grpc.aio.insecure_channel(running.address, options) as channel:
            watch: Any = health_pb2_grpc.HealthStub(channel).Watch
            async for answer in watch(request, wait_for_ready=True, timeout=READY_S):
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return

    serving, ended = asyncio.create_task(wait_for_ready_line()), asyncio.create_task(running.process.wait())
    await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    assert serving.done(), running.log.read_text()[-2000:]
    serving.result()


@dataclass
class World:
    """Two vendors, a language model, and the programs that call them."""

    database: str
    data: Path
    wavespeed: WaveSpeedSimulator
    fal: FalSimulator
    llm: LlmSimulator
    settings: dict[str, str]
    """The settings of every orchestrator of this set."""
    providers: dict[str, Program] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of the tenant `development`."""
        return (self.data / "dev-key").read_text().strip()

    def orchestrator(self, role: str, name: str = "worker-0") -> Any:
        """Runs an orchestrator until the block is left."""
        settings = {**self.settings, "I2V_WORKER_NAME": name}
        return program("services.orchestrator", role, log=self.data / f"{role}.log", prefix="I2V_", **settings)


@asynccontextmanager
async def world(database: str, data: Path, **provider_settings: str) -> AsyncIterator[World]:
    """Starts everything but the orchestrators. `provider_settings` are both providers', without their prefix."""
    async with AsyncExitStack() as stack:
        wavespeed = WaveSpeedSimulator(fps=4)
        fal, llm = FalSimulator(fps=4), LlmSimulator(key="the-language-models-key")
        for simulator in (wavespeed, fal):
            await stack.enter_async_context(simulator.running())
        await stack.enter_async_context(llm.serving())
        for name, secret in (("access-key", ACCESS), ("operator-key", OPERATORS)):
            (data / name).write_text(f"{secret}\n")
        async with asyncio.TaskGroup() as starting:  # each takes a second or two
            started = {
                simulator.name: starting.create_task(
                    stack.enter_async_context(_provider(simulator, data, provider_settings))
                )
                for simulator in (wavespeed, fal)
            }
            writer = starting.create_task(stack.enter_async_context(_writer(llm, data)))
        providers = {name: task.result() for name, task in started.items()}
        settings = {
            "I2V_DATABASE_URL": database,
            "I2V_DATA": str(data),
            "I2V_TRITON": "",
            "I2V_PROVIDERS": ",".join(f"{name}={each.address}" for name, each in providers.items()),
            "I2V_PROVIDER_KEY_FILE": str(data / "access-key"),
            "I2V_PROMPT_WRITER": writer.result().address,
            "I2V_DEV_KEY_FILE": str(data / "dev-key"),
            "I2V_OPERATOR_KEY_FILE": str(data / "operator-key"),
            "I2V_FIND_S": "0.2",
            "I2V_SILENT_S": "3",
            "I2V_DRAIN_S": "1",
        }
        yield World(database, data, wavespeed, fal, llm, settings, providers)


def _provider(simulator: Simulator, data: Path, more: dict[str, str]) -> Any:
    prefix = f"I2V_PROVIDER_{simulator.name.upper()}_"
    values = {
        "KEY": simulator.key,
        "ACCESS_KEY_FILE": str(data / "access-key"),
        "URL": simulator.url,
        "UPLOAD_URL": simulator.url,
        "SIMULATION": "true",
        "OUTPUT_HOSTS": f"127.0.0.1:{simulator.port}",
        "DATA": str(data / simulator.name),
        "LOOK_EVERY_S": "0.1",
        **more,
    }
    settings = {prefix + name: value for name, value in values.items()}
    log = data / f"{simulator.name}.log"
    return program("services.providers", simulator.name, log=log, prefix=prefix, **settings)


def _writer(llm: LlmSimulator, data: Path) -> Any:
    settings = {
        "I2V_PROMPT_ACCESS_KEY_FILE": str(data / "access-key"),
        "I2V_PROMPT_LLM_URL": llm.url,
        "I2V_PROMPT_LLM_MODEL": MODEL,
        "I2V_PROMPT_LLM_KEY": llm.key,
        "I2V_PROMPT_INPUT_PRICE_MICROS": "1000000",
        "I2V_PROMPT_OUTPUT_PRICE_MICROS": "2000000",
    }
    return program("services.providers.prompt", log=data / "prompt.log", prefix="I2V_PROMPT_", **settings)
