"""Retention and legal holds through the real server, by the worker's own rounds and by the operators' commands."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from i2v.admin.v1 import retention_pb2, retention_pb2_grpc
from i2v.v1 import job_pb2

from services.orchestrator.pace import Pace
from services.orchestrator.ports.backend import Limits
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served, caller, served, text_spec

KEY = "the-operators-key"
OPERATOR = caller(key=KEY)
AGE = sa.text("UPDATE jobs SET end_time = end_time - make_interval(days => :days)")
AGE_ENTRIES = sa.text("UPDATE dbos.workflow_status SET completed_at = completed_at - :days * 86400000.0")


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    (tmp_path / "operator-key").write_text(KEY + "\n")

    def change(values: dict[str, Any]) -> None:
        values["operator_key_file"] = str(tmp_path / "operator-key")

    backends = {"test": (ScriptedBackend(), Limits(2))}
    async with served(database, tmp_path, backends, change=change, pace=Pace(retention_every_s=0.2)) as running:
        yield running


def command(i2v: Served, folder: Path) -> Command:
    return Command(i2v.address, folder)


async def grow_old(i2v: Served, folder: Path, days: int) -> None:
    """Makes all ended jobs older, with their queue entries and bytes."""
    await until_empty(i2v, "dbos.workflow_status WHERE completed_at IS NULL")
    async with i2v.app.store.database.writing() as connection:
        await connection.execute(AGE, {"days": days})
        await connection.execute(AGE_ENTRIES, {"days": days})
    for file in (folder / "blobs" / "tenants").rglob("*"):
        if file.is_file():
            written = file.stat().st_mtime - days * 86_400
            os.utime(file, (written, written))


async def counted(i2v: Served, table: str) -> int:
    async with i2v.app.store.database.reading() as connection:
        return int((await connection.execute(sa.text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def until_empty(i2v: Served, table: str) -> None:
    async with asyncio.timeout(60):
        while await counted(i2v, table):  # noqa: ASYNC110  the rounds of a worker announce nothing
            await asyncio.sleep(0.05)


async def test_a_worker_removes_the_events_of_an_old_job_and_its_callers_still_have_job_and_video(
    i2v: Served, tmp_path: Path
) -> None:
    job = await i2v.submit(text_spec())
    events = [event async for event in i2v.watch(job.name)]
    fragments = [each.fragment_ready.asset for each in events if each.HasField("fragment_ready")]
    assert fragments
    job = await i2v.job(job.name)
    data = await i2v.download(job.output.asset)
    await grow_old(i2v, tmp_path, 31)
    await until_empty(i2v, "job_events")
    await until_empty(i2v, "dbos.workflow_status")
    left = [event async for event in i2v.watch(job.name)]
    assert [(each.sequence, each.succeeded) for each in left] == [(job.last_sequence, events[-1].succeeded)]
    assert (await i2v.job(job.name)).output == job.output
    assert await i2v.download(job.output.asset) == data
    for fragment in fragments:
        with pytest.raises(grpc.aio.AioRpcError) as absent:
            await i2v.download(fragment)
        assert absent.value.code() is grpc.StatusCode.NOT_FOUND
    removed = i2v.registry.get_sample_value("i2v_retention_removed_total", {"kind": "events"})
    assert removed == 1


async def test_operators_hold_a_tenant_see_what_is_due_and_remove_it_at_once(i2v: Served, tmp_path: Path) -> None:
    run = command(i2v, tmp_path)
    held = await run("admin", "legal-hold", "set", "studio", "--reason", "a lawsuit", key=KEY)
    assert (held.code, held.out) == (0, "tenants/studio is under a legal hold: a lawsuit\n")
    job = await i2v.ended((await i2v.submit(text_spec())).name)
    await grow_old(i2v, tmp_path, 500)
    shown = await run("admin", "retention", "show", key=KEY)
    assert "tenants/studio is under a legal hold: a lawsuit" in shown.out
    due = [line.split()[:4] for line in shown.out.splitlines()[1:]]
    kept = {"events": 30, "jobs": 400, "queue-entries": 7, "checkpoints": 2, "uploads": 1, "deliveries": 30}
    for kind, days in kept.items():
        assert [kind, str(days), "days", "0"] in due, shown.out
    assert await counted(i2v, "job_events") == job.last_sequence
    cleared = await run("admin", "legal-hold", "clear", "studio", "--reason", "it was settled", key=KEY)
    assert (cleared.code, cleared.out) == (0, "tenants/studio is under no legal hold.\n")
    acts = await i2v.app.store.audit_log.page(tenant="studio", before=None, limit=10)
    assert [(each.act.action, each.act.reason, each.outcome) for each in acts] == [
        ("ClearLegalHold", "it was settled", "DONE"),
        ("SetLegalHold", "a lawsuit", "DONE"),
    ]
    removed = await run("admin", "retention", "run", "--kind", "jobs", key=KEY)
    while removed.code:  # a round of the worker is running
        assert "Another process removes old things" in removed.err
        removed = await run("admin", "retention", "run", "--kind", "jobs", key=KEY)
    await until_empty(i2v, "jobs")
    with pytest.raises(grpc.aio.AioRpcError) as absent:
        await i2v.job(job.name)
    assert absent.value.code() is grpc.StatusCode.NOT_FOUND
    assert await i2v.app.store.counter_audits.full(limit=9) == []
    listed = await i2v.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=caller())
    assert not listed.jobs


async def test_operators_fold_the_ledger_of_old_months_only_when_they_say_yes(i2v: Served, tmp_path: Path) -> None:
    run = command(i2v, tmp_path)
    await i2v.ended((await i2v.submit(text_spec())).name)
    fold = ("admin", "ledger", "fold", "--tenant", "studio", "--before")
    refused = await run(*fold, "2099-01", key=KEY)
    assert refused.code and "is after the current month" in refused.err
    async with i2v.app.store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE ledger_entries SET period_time = '2025-03-05'"))
    refused = await run(*fold, "2025-04", key=KEY)
    assert refused.code and "Jobs of 2025-03 are still kept" in refused.err
    await grow_old(i2v, tmp_path, 500)
    await until_empty(i2v, "jobs")
    shown = await run(*fold, "2025-04", key=KEY)
    assert shown.out.splitlines()[0] == "2025-03 to 2025-03: 2 bookings would be replaced by 1 balances."
    assert await counted(i2v, "ledger_entries") == 2
    folded = await run(*fold, "2025-04", "--yes", key=KEY)
    assert folded.out == "2025-03 to 2025-03: 2 bookings were replaced by 1 balances.\n"
    assert await counted(i2v, "ledger_entries WHERE kind = 'balance'") == await counted(i2v, "ledger_entries") == 1
    again = await run(*fold, "2025-04", "--yes", key=KEY)
    assert again.out == "tenants/studio has nothing to fold before 2025-04.\n"


def reason(error: grpc.aio.AioRpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    for detail in rpc_status.from_call(error).details:
        if detail.Unpack(info):
            return str(info.reason)
    return ""


async def test_tenants_may_do_none_of_this_and_operators_only_what_makes_sense(i2v: Served) -> None:
    stub: Any = retention_pb2_grpc.RetentionServiceStub(i2v.channel)
    requests = [
        (stub.GetRetention, retention_pb2.GetRetentionRequest()),
        (stub.RunRetention, retention_pb2.RunRetentionRequest(kind=1)),
        (stub.SetLegalHold, retention_pb2.SetLegalHoldRequest(tenant="tenants/studio", reason="x")),
        (stub.ClearLegalHold, retention_pb2.ClearLegalHoldRequest(tenant="tenants/studio", reason="x")),
    ]
    for method, request in requests:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await method(request, metadata=caller())
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    wrong = [
        (stub.RunRetention, retention_pb2.RunRetentionRequest(), "RETENTION_KIND_UNKNOWN"),
        (stub.SetLegalHold, retention_pb2.SetLegalHoldRequest(tenant="studio", reason="x"), "NAME_MALFORMED"),
        (stub.SetLegalHold, retention_pb2.SetLegalHoldRequest(tenant="tenants/studio"), "INVALID_INPUT"),
        (stub.SetLegalHold, retention_pb2.SetLegalHoldRequest(tenant="tenants/unknown", reason="x"), "NOT_FOUND"),
    ]
    for method, request, why in wrong:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await method(request, metadata=OPERATOR)
        assert why in (reason(refused.value), *(refused.value.details() or "").split())
