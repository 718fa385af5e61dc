"""A real Prometheus with the rules of deploy/monitoring, whose times are shortened so that a test can wait for them."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tools.prometheus_server import RULES, command
from tools.stack_process import free_port

WAITS = {"1m": 1, "2m": 2, "5m": 4, "10m": 4, "15m": 6, "30m": 6, "1h": 8, "4h": 12, "6h": 16, "1d": 24, "3d": 32}
"""What the waits of the alerts become, in seconds."""
WINDOWS = WAITS | {"15m": 24}
"""What the windows become. A process counts the queues every ten seconds, and their growth needs two counts."""

OF_THE_MACHINE = {"SubmitsSlow"}
"""What may also fire while a test submits, because other tests use the machine."""


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    client: httpx.AsyncClient

    async def query(self, query: str) -> list[Any]:
        """Returns the vector of an instant query; raises for a query that is wrong."""
        answer = await self.client.get("/api/v1/query", params={"query": query})
        answer.raise_for_status()
        return list(answer.json()["data"]["result"])

    async def finds(self, query: str) -> None:
        """Waits until a query has a result."""
        async with asyncio.timeout(60):
            while True:
                if await self.query(query):
                    return
                await asyncio.sleep(0.1)

    async def firing(self) -> set[str]:
        """Returns the names of the alerts that fire now."""
        return {each["metric"]["alertname"] for each in await self.query('ALERTS{alertstate="firing"}')}

    async def becomes(self, expected: set[str]) -> set[str]:
        """Waits until all the expected alerts fire, or none if there are none; returns all that fired meanwhile."""
        seen: set[str] = set()
        async with asyncio.timeout(120):
            while True:
                firing = await self.firing()
                seen |= firing
                if expected <= firing if expected else not firing:
                    return seen
                await asyncio.sleep(0.2)


@asynccontextmanager
async def prometheus(folder: Path, targets: Mapping[str, Sequence[int]]) -> AsyncIterator[Prometheus]:
    """Starts a Prometheus that scrapes ports of this machine every second; `targets` are the ports by job."""
    rules = [folder / file.name for file in RULES.iterdir()]
    for file in rules:
        file.write_text(shortened((RULES / file.name).read_text()))
    port = free_port()
    scraped = {name: [f"127.0.0.1:{each}" for each in ports] for name, ports in targets.items()}
    arguments = command(folder, rules, scraped, port)
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*arguments, stderr=log)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            await _ready(client, process)
            yield Prometheus(client)
    finally:
        process.terminate()
        await process.wait()


def shortened(rules: str) -> str:
    """Returns rules with shorter windows and waits; the names of recorded series stay."""
    text = re.sub(r"\[(\w+)\]", lambda found: f"[{WINDOWS[found[1]]}s]", rules)
    text = re.sub(r"(\bfor: )(\w+)", lambda found: f"{found[1]}{WAITS[found[2]]}s", text)
    return text.replace("interval: 30s", "interval: 1s")


async def _ready(client: httpx.AsyncClient, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60):
        while process.returncode is None:
            try:
                if (await client.get("/-/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise AssertionError("Prometheus ended")
