"""Vendors, a language model and the programs that call them, as processes of their own, as operators run them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.forked_programs import forked
from tools.evictions import program as programs
from tools.evictions.program import Program, fresh_port
from tools.simulators.fal import FalSimulator
from tools.simulators.llm import MODEL, LlmSimulator
from tools.simulators.simulator import Simulator
from tools.simulators.wavespeed import WaveSpeedSimulator

__all__ = ["OPERATORS", "Program", "World", "fresh_port", "program", "world"]

ACCESS = "what-the-orchestrator-shows"
OPERATORS = "what-operators-show"
program = partial(programs.program, begin=forked)


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
async def world(
    database: str, data: Path, environment: Mapping[str, str] | None = None, **provider_settings: str
) -> AsyncIterator[World]:
    """Starts everything but the orchestrators. `provider_settings` are both providers', without their prefix.

    `environment` is of every program.
    """
    every = environment or {}
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
                    stack.enter_async_context(_provider(simulator, data, provider_settings, every))
                )
                for simulator in (wavespeed, fal)
            }
            writer = starting.create_task(stack.enter_async_context(_writer(llm, data, every)))
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
            **every,
        }
        yield World(database, data, wavespeed, fal, llm, settings, providers)


def _provider(simulator: Simulator, data: Path, more: dict[str, str], every: Mapping[str, str]) -> Any:
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
    settings = {prefix + name: value for name, value in values.items()} | every
    log = data / f"{simulator.name}.log"
    return program("services.providers", simulator.name, log=log, prefix=prefix, **settings)


def _writer(llm: LlmSimulator, data: Path, every: Mapping[str, str]) -> Any:
    settings = {
        "I2V_PROMPT_ACCESS_KEY_FILE": str(data / "access-key"),
        "I2V_PROMPT_LLM_URL": llm.url,
        "I2V_PROMPT_LLM_MODEL": MODEL,
        "I2V_PROMPT_LLM_KEY": llm.key,
        "I2V_PROMPT_INPUT_PRICE_MICROS": "1000000",
        "I2V_PROMPT_OUTPUT_PRICE_MICROS": "2000000",
        **every,
    }
    return program("services.providers.prompt", log=data / "prompt.log", prefix="I2V_PROMPT_", **settings)
