"""Simulated vendors and a simulated language model behind our own providers and prompt writer, all in this process."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from services.orchestrator.backends.provider_backend import ProviderBackend
from services.providers.prompt.app import open_app
from services.providers.prompt.settings import Settings
from tests.support.plan_files import plan_table
from tests.support.provider_and_simulator import ACCESS, Provided, provided
from tools.simulators.llm import MODEL, LlmSimulator


@dataclass
class SimulatedVendors:
    """What an orchestrator needs to know of them."""

    providers: dict[str, Provided]
    backends: dict[str, tuple[ProviderBackend, int]]
    llm: LlmSimulator
    settings: dict[str, Any]
    """The orchestrator's."""


@asynccontextmanager
async def simulated_vendors(folder: Path, names: Sequence[str]) -> AsyncIterator[SimulatedVendors]:
    """Starts the vendors of these names and the language model. The plans `test` and `poor` may spend 9 dollars."""
    (folder / "plans").write_text("".join(plan_table(name, 9_000_000, 9) for name in ("test", "poor")))
    (folder / "key").write_text(ACCESS)
    async with AsyncExitStack() as stack:
        providers = {name: await stack.enter_async_context(provided(name, folder / name)) for name in names}
        llm = await stack.enter_async_context(LlmSimulator().serving())
        settings = Settings(
            listen="127.0.0.1:0",
            metrics_listen="",
            access_key=ACCESS,
            llm_url=llm.url,
            llm_model=MODEL,
            input_price_micros=150_000,
            output_price_micros=600_000,
            drain_s=0.0,
        )
        writer = await stack.enter_async_context(open_app(settings, registry=CollectorRegistry()))
        addresses = {name: f"127.0.0.1:{each.app.server.port}" for name, each in providers.items()}
        backends = {name: (ProviderBackend(address, lambda: ACCESS), 2) for name, address in addresses.items()}
        for backend, _ in backends.values():
            stack.push_async_callback(backend.close)
        yield SimulatedVendors(
            providers,
            backends,
            llm,
            {
                "providers": ",".join(f"{name}={address}" for name, address in addresses.items()),
                "provider_key_file": str(folder / "key"),
                "prompt_writer": f"127.0.0.1:{writer.server.port}",
                "plans_file": folder / "plans",
            },
        )
