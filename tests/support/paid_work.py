"""Paid work at a scripted provider: what its tests ask for, and what they look at afterwards."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from i2v.v1 import job_pb2

from services.orchestrator.backends.provider_backend import ProviderBackend
from services.orchestrator.ports.backend import Limits
from services.orchestrator.role import Role
from tests.support.scripted_provider import ScriptedProvider, a_video, providing
from tests.support.served_orchestrator import GOLDEN, Served, caller, served, text_spec

State = job_pb2.Job
VIDEO = a_video()
OPERATOR = caller(key="the-operators-key")


def remote(values: dict[str, Any]) -> None:
    values |= {"models_file": GOLDEN / "remote.toml", "find_s": 0.1, "silent_s": 0.6}


def impatient(values: dict[str, Any]) -> None:
    """Waits no longer than vendors ask for."""
    remote(values)
    values["refund_window_s"] = 0.0


def spec(**fields: Any) -> job_pb2.JobSpec:
    return text_spec(seconds=5, model="remote-text", **fields)


async def kinds(i2v: Served, name: str) -> list[str]:
    events = [event async for event in i2v.watch(name)]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return [event.WhichOneof("event") or "" for event in events]


async def money(i2v: Served) -> tuple[int, int]:
    """What is reserved, and what is spent."""
    usage = await i2v.usage()
    return usage.user.reserved.amount_micros, usage.user.spent.amount_micros


async def journal(i2v: Served) -> list[str]:
    async with i2v.app.store.database.reading() as connection:
        return list((await connection.execute(sa.text("SELECT state FROM paid_calls ORDER BY submit_time"))).scalars())


def with_a_key(address: str) -> ProviderBackend:
    return ProviderBackend(address, lambda: "the-key")


@asynccontextmanager
async def life(database: str, data: Path, vendor: ScriptedProvider) -> AsyncIterator[tuple[Served, dict[str, str]]]:
    """The API in this process, and the settings of workers that are processes of their own."""
    async with providing(vendor) as address, served(database, data, {}, role=Role.API, change=remote) as i2v:
        settings = {
            "I2V_PROVIDERS": f"vendor={address}",
            "I2V_FAKE_SLOTS": "0",
            "I2V_PIXEL_MARK": "false",
            "I2V_FIND_S": "0.1",
            "I2V_SILENT_S": "3",
            "I2V_MODELS_FILE": str(GOLDEN / "remote.toml"),
        }
        yield i2v, settings
        assert await i2v.app.store.counter_audits.full(limit=9) == []


@asynccontextmanager
async def remotely(
    database: str,
    data: Path,
    vendor: ScriptedProvider,
    *,
    backend: Callable[[str], ProviderBackend] = with_a_key,
    limits: int | Limits = 4,
    change: Callable[[dict[str, Any]], None] = remote,
    most_calls: int | None = None,
    **options: Any,
) -> AsyncIterator[Served]:
    """The whole service in this process, with a scripted provider. Audits the ledger at the end.

    `backend` is made for the provider's address, `limits` are its slots, and `most_calls` is how many the provider
    takes at a time. `options` are those of `open_app`.
    """
    (data / "operator-key").write_text("the-operators-key\n")

    def changed(values: dict[str, Any]) -> None:
        values["operator_key_file"] = str(data / "operator-key")
        change(values)

    async with providing(vendor, most_calls) as address:
        made = backend(address)
        async with served(database, data, {"vendor": (made, limits)}, change=changed, **options) as running:
            yield running
            assert await running.app.store.counter_audits.full(limit=9) == []
        await made.close()
