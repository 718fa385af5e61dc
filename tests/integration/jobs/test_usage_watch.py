"""Usage over the real service: the stream of limits, its own limit of calls, the log, the metric and the command."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.v1 import usage_pb2, usage_pb2_grpc

from i2v_client import AsyncClient
from i2v_client.errors import Busy
from services.rpc.status_codes import from_call
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served, caller, served, text_spec

POOR = {"tenant": "poor"}


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    def change(values: dict[str, Any]) -> None:
        values |= {"tenant_usage_watches": 2}

    backend = ScriptedBackend()
    backend.gate.clear()
    async with served(database, tmp_path, {"test": (backend, 1)}, change=change) as running:
        yield running


def watch(i2v: Served, **who: str) -> Any:
    stub: Any = usage_pb2_grpc.UsageServiceStub(i2v.channel)
    return stub.WatchUsage(usage_pb2.WatchUsageRequest(), metadata=caller(**who))


async def test_a_watch_shows_the_limits_each_change_and_the_warning_and_so_do_log_and_metrics(
    i2v: Served, caplog: pytest.LogCaptureFixture
) -> None:
    watching = watch(i2v, **POOR)
    state = (await watching.read()).state
    assert (state.plan, {each.subject for each in state.limits}) == ("poor", {"tenant", "user"})
    with caplog.at_level(logging.WARNING):
        for user in ("ann", "bob", "cid"):  # each 1000 of the tenant's 3000
            await i2v.submit(text_spec(), user=user, **POOR)
        warning = usage_pb2.LimitWarning()
        while warning.percent != 100:
            warning = (await watching.read()).warning
        assert (warning.limit.subject, warning.limit.measure) == ("tenant", "spend")
        for _ in range(200):
            logged = [record.__dict__ for record in caplog.records if getattr(record, "percent", 0) == 100]
            if logged:
                break
            await asyncio.sleep(0.1)
    assert (logged[0]["tenant"], logged[0]["subject"], logged[0]["measure"]) == ("poor", "", "spend")
    labels = {"measure": "spend", "subject": "tenant", "percent": "100"}
    assert i2v.registry.get_sample_value("i2v_limit_warnings_total", labels) == 1


async def test_watches_of_usage_have_a_limit_of_their_own_and_end_with_the_server(i2v: Served) -> None:
    watches = [watch(i2v) for _ in range(2)]
    for each in watches:
        assert (await each.read()).HasField("state")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await watch(i2v).read()
    failure = from_call(refused.value)
    assert (failure.reason, failure.metadata["limit"]) == ("TENANT_USAGE_WATCHES_LIMIT_REACHED", "2")
    async with AsyncClient(i2v.address, "studio-key", "ann", retry_for_s=0.1) as client:
        with pytest.raises(Busy):
            await anext(client.watch_usage())
    assert (await watch(i2v, tenant="story").read()).HasField("state")
    await i2v.app.server.drain(0.1)
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        while True:
            await watches[0].read()
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_command_shows_limits_changes_and_warnings_until_it_is_interrupted(
    i2v: Served, tmp_path: Path
) -> None:
    command = Command(i2v.address, tmp_path)
    process = await command.start("usage", "--watch", key="poor-key", I2V_USER="ann", PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    lines: list[str] = []

    async def until(words: str) -> None:
        while not lines or words not in lines[-1]:
            lines.append((await process.stdout.readline()).decode())  # type: ignore[union-attr]
            assert lines[-1]

    async with asyncio.timeout(60):
        await until("user spend month")
        assert lines[0] == "Plan poor.\n"
        await i2v.submit(text_spec(), **POOR)
        await until("user spend month: 0.000000 USD used, 0.001000 USD held of 0.001500 USD (66 %)")
        await i2v.submit(text_spec(), user="bob", **POOR)
        await i2v.submit(text_spec(), user="cid", **POOR)
        await until("warning: The tenant has used 0.003000 USD of the 0.003000 USD of spending")
    process.send_signal(2)
    assert (await command.end(process)).code == 130
