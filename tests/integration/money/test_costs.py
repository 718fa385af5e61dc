"""Rollups and invoices by RPC and by command, through the real server with a scripted vendor."""

import csv
import io
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.admin.v1 import cost_pb2, cost_pb2_grpc

from services.client.exit_codes import ExitCode
from services.rpc.status_codes import from_call
from tests.support.client_command import Command
from tests.support.paid_work import OPERATOR, spec
from tests.support.scripted_provider import Failed, ScriptedProvider, a_failure
from tests.support.served_orchestrator import Served, caller

KEY = "the-operators-key"


def costs(i2v: Served) -> Any:
    return cost_pb2_grpc.CostServiceStub(i2v.channel)


async def reason(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    failure = from_call(caught.value)
    return str(failure.violations[0].reason if failure.violations else failure.reason)


async def calls(i2v: Served, **times: int) -> list[cost_pb2.VendorCall]:
    request = cost_pb2.StreamVendorCallsRequest(
        provider="vendor", **{name: Timestamp(seconds=value) for name, value in times.items()}
    )
    return [each async for part in costs(i2v).StreamVendorCalls(request, metadata=OPERATOR) for each in part.calls]


async def test_operators_see_what_a_day_has_cost_and_compare_an_invoice(
    i2v: Served, vendor: ScriptedProvider, tmp_path: Path
) -> None:
    vendor.refs, vendor.refusals = ["task-a", "task-b", "task-c"], []
    for _ in range(2):
        await i2v.ended((await i2v.submit(spec())).name)
    vendor.refusals = [a_failure("MODERATION", Failed.NOT_CHARGED)]
    await i2v.ended((await i2v.submit(spec())).name)

    found = await costs(i2v).ListDailyRollups(cost_pb2.ListDailyRollupsRequest(), metadata=OPERATOR)
    [rollup] = found.rollups
    assert (rollup.tenant, rollup.model, rollup.operation) == ("tenants/studio", "remote-text", "text-to-video")
    sums = rollup.sums
    assert (sums.admitted_jobs, sums.jobs, sums.video.seconds) == (3, 2, 10)
    assert (sums.charged.amount_micros, sums.vendor_cost.amount_micros, sums.margin.amount_micros) == (10000, 10000, 0)
    assert found.total == sums and found.HasField("compute_time") and not sums.slot_time.ToMilliseconds()
    assert {call.state for call in await calls(i2v, since=1, until=4_000_000_000)} == {"charged", "released"}

    command = Command(i2v.address, tmp_path)
    (day,) = {rollup.day}
    shown = await command("admin", "usage", "daily", "--csv", "-", key=KEY)
    [line] = csv.DictReader(io.StringIO(shown.out, newline=""))
    assert (line["day"], line["charged"], line["currency"]) == (day, "0.010000", "USD")
    assert "remote-text" in (await command("admin", "usage", "daily", "--tenant", "studio", key=KEY)).out
    assert (await command("admin", "usage", "daily", "--model", "none", key=KEY)).out == "There were no jobs.\n"

    (tmp_path / "invoice.csv").write_bytes(b"Task;Cost\r\ntask-a;0,005\r\ntask-b;0,006\r\nstrange;1,00\r\n")
    (tmp_path / "formats.toml").write_text('[vendor]\nreference = "task"\namount = "cost"\ndecimal = ","\n')
    options = ("--provider", "vendor", "--since", day, "--until", day, "--formats", "formats.toml")
    compared = await command("admin", "invoice", "compare", "invoice.csv", *options, key=KEY)
    assert compared.code == ExitCode.DIFFERENT, compared.err
    assert "strange" in compared.out and "amount-differs" in compared.out and "task-a" not in compared.out
    (tmp_path / "right.csv").write_text("task;cost\ntask-a;0,005\ntask-b;0,005\n")
    assert (await command("admin", "invoice", "compare", "right.csv", *options, key=KEY)).code == ExitCode.OK
    (tmp_path / "short.csv").write_text("task;cost\ntask-a;0,005\n")
    short = await command("admin", "invoice", "compare", "short.csv", *options, "--json", key=KEY)
    assert short.code == ExitCode.DIFFERENT and '"only-in-ledger"' in short.out
    (tmp_path / "wrong.csv").write_text("task;cost\ntask-a;free\n")
    wrong = await command("admin", "invoice", "compare", "wrong.csv", *options, key=KEY)
    assert wrong.code == ExitCode.REFUSED and "wrong.csv, line 2: 'free' is no amount" in wrong.err


async def test_what_cannot_be_meant_is_refused_and_tenants_have_no_access(i2v: Served) -> None:
    def listing(metadata: Any = OPERATOR, **fields: Any) -> Any:
        return costs(i2v).ListDailyRollups(cost_pb2.ListDailyRollupsRequest(**fields), metadata=metadata)

    assert await reason(listing(caller())) == "OPERATORS_ONLY"
    assert await reason(listing(since_day="30.11.2026")) == "DATE_MALFORMED"
    assert await reason(listing(since_day="2026-11-30", until_day="2026-11-29")) == "INVALID_VALUE"
    assert await reason(listing(since_day="2000-01-01", until_day="2026-11-29")) == "INVALID_VALUE"
    assert await reason(listing(tenant="studio")) == "NAME_MALFORMED"
    assert await reason(listing(page_size=201)) == "PAGE_SIZE_OUT_OF_RANGE"
    assert await reason(listing(page_token="x")) == "PAGE_TOKEN_MALFORMED"
    for times in ({}, {"since": 5}, {"since": 5, "until": 5}):
        assert await reason(calls(i2v, **times)) == "INVALID_VALUE"
    stream = costs(i2v).StreamVendorCalls(cost_pb2.StreamVendorCallsRequest(provider="a b"), metadata=OPERATOR)
    assert await reason(stream.read()) == "NAME_MALFORMED"
