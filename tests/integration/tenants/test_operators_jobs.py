"""What operators see of the jobs of all tenants, and how they cancel one, by RPC and by command."""

import asyncio
import json
from pathlib import Path

import grpc
import pytest
from i2v.admin.v1 import audit_pb2, job_pb2
from i2v.v1 import job_pb2 as jobs_pb2

from tests.integration.tenants.conftest import FIRST_OPERATOR, Admin, refusal
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served, text_spec

UNKNOWN = "jobs/" + "0" * 32


async def names(admin: Admin, **filters: object) -> list[str]:
    """Returns the names of all pages, which have two jobs each."""
    request, found = job_pb2.ListJobsRequest(page_size=2, **filters), list[str]()
    while True:
        page = await admin.ListJobs(request)
        found += [job.name for job in page.jobs]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_an_operator_finds_jobs_of_all_tenants(i2v: Served, admin: Admin, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    running = await i2v.submit(text_spec())
    await i2v.until(running.name, "fragment_ready")
    others = [await i2v.submit(text_spec(), user="bob"), await i2v.submit(text_spec(), tenant="story")]
    everything = [others[1].name, others[0].name, running.name]
    assert await names(admin) == everything
    assert await names(admin, tenant="tenants/studio") == everything[1:]
    assert await names(admin, tenant="tenants/studio", user="bob") == [others[0].name]
    assert await names(admin, state=jobs_pb2.Job.RUNNING) == [running.name]
    assert await names(admin, model="test-model", backend="test") == everything
    assert await names(admin, backend="none") == []
    assert await names(admin, since=others[1].create_time) == everything[:1]
    assert await names(admin, until=others[1].create_time) == everything[1:]
    backend.gate.set()
    await asyncio.gather(i2v.ended(others[0].name, user="bob"), i2v.ended(others[1].name, tenant="story"))


async def test_an_operator_sees_which_worker_has_a_job_and_what_it_holds(
    i2v: Served, admin: Admin, backend: ScriptedBackend
) -> None:
    backend.gate.clear()
    job = await i2v.submit(text_spec())
    await i2v.until(job.name, "fragment_ready")
    found = await admin.GetJob(job_pb2.GetJobRequest(name=job.name))
    assert found.job.spec.text_to_video.prompt == "a wave"
    assert (found.summary.tenant, found.summary.backend, found.events) == (
        "tenants/studio",
        "test",
        found.job.last_sequence,
    )
    assert (found.queue_entry.status, found.queue_entry.worker) == ("PENDING", "worker-0")
    assert found.queue_entry.HasField("beat_time")
    assert found.holds and not any(hold.HasField("settled") for hold in found.holds)
    backend.gate.set()
    ended = await i2v.ended(job.name)
    found = await admin.GetJob(job_pb2.GetJobRequest(name=job.name))
    assert all(hold.HasField("settled") for hold in found.holds)
    assert [(entry.kind, entry.spent.amount_micros) for entry in found.entries] == [
        ("reserve", 0),
        ("settle", ended.charged.amount_micros),
    ]


async def test_an_operator_cancels_as_the_owner_could_and_the_log_says_why(
    i2v: Served, admin: Admin, backend: ScriptedBackend
) -> None:
    backend.gate.clear()
    running, waiting = await i2v.submit(text_spec()), await i2v.submit(text_spec())
    await i2v.until(running.name, "fragment_ready")

    async def cancel(job: jobs_pb2.Job, reason: str = "abuse") -> job_pb2.JobSummary:
        cancelled: job_pb2.JobSummary = await admin.CancelJob(job_pb2.CancelJobRequest(name=job.name, reason=reason))
        return cancelled

    assert await refusal(cancel(waiting, "")) == ("INVALID_ARGUMENT", "REASON_MISSING")
    assert (await i2v.job(waiting.name)).state == jobs_pb2.Job.QUEUED
    cancelled = await cancel(waiting)
    assert (cancelled.state, cancelled.charged.amount_micros) == (jobs_pb2.Job.CANCELLED, 0)
    assert (await cancel(waiting)).state == jobs_pb2.Job.CANCELLED  # again: as it is
    await cancel(running)  # the answer may come after the end
    kinds = [event.WhichOneof("event") async for event in i2v.watch(running.name)]
    assert kinds[-2:] == ["cancel_requested", "cancelled"]
    assert (await i2v.job(running.name)).state == jobs_pb2.Job.CANCELLED
    assert (await i2v.usage()).tenant.active_jobs == 0
    entries = (await admin.ListAuditEntries(audit_pb2.ListAuditEntriesRequest(tenant="tenants/studio"))).entries
    assert [(entry.action, entry.target, entry.reason, entry.outcome) for entry in reversed(entries)] == [
        ("CancelJob", waiting.name, "", "REASON_MISSING"),
        ("CancelJob", waiting.name, "abuse", "DONE"),
        ("CancelJob", waiting.name, "abuse", "DONE"),
        ("CancelJob", running.name, "abuse", "DONE"),
    ]


async def test_what_cannot_be_meant_is_refused(i2v: Served, admin: Admin) -> None:
    async def listing(**fields: object) -> tuple[str, str]:
        return await refusal(admin.ListJobs(job_pb2.ListJobsRequest(**fields)))

    await i2v.submit(text_spec())
    await i2v.submit(text_spec())
    page = await admin.ListJobs(job_pb2.ListJobsRequest(page_size=1))
    assert await listing(page_size=1, page_token=page.next_page_token, backend="test") == (
        "INVALID_ARGUMENT",
        "PAGE_TOKEN_MALFORMED",
    )
    for token in ("x", ".", "%00." + page.next_page_token.rpartition(".")[2]):
        assert await listing(page_token=token) == ("INVALID_ARGUMENT", "PAGE_TOKEN_MALFORMED")
    assert await listing(user="ann") == ("INVALID_ARGUMENT", "INVALID_VALUE")
    assert await listing(model="x" * 129) == ("INVALID_ARGUMENT", "INVALID_VALUE")
    assert await listing(state=99) == ("INVALID_ARGUMENT", "STATE_UNKNOWN")
    assert await listing(tenant="studio") == ("INVALID_ARGUMENT", "NAME_MALFORMED")
    assert (await refusal(admin.GetJob(job_pb2.GetJobRequest(name=UNKNOWN))))[0] == "NOT_FOUND"
    unknown = job_pb2.CancelJobRequest(name=UNKNOWN, reason="abuse")
    assert (await refusal(admin.CancelJob(unknown)))[0] == "NOT_FOUND"
    with pytest.raises(grpc.aio.AioRpcError, match="PERMISSION_DENIED"):
        await admin.of("studio-key").ListJobs(job_pb2.ListJobsRequest())


async def test_the_commands_list_show_and_cancel(i2v: Served, tmp_path: Path, backend: ScriptedBackend) -> None:
    command = Command(i2v.address, tmp_path)

    async def ran(*arguments: str, code: int = 0) -> str:
        ended = await command(*arguments, key=FIRST_OPERATOR)
        assert ended.code == code, (arguments, ended.out, ended.err)
        return ended.out + ended.err

    backend.gate.clear()
    job = await i2v.submit(text_spec())
    await i2v.until(job.name, "fragment_ready")
    waiting = await i2v.submit(text_spec(), tenant="story")
    assert "no such jobs" in await ran("admin", "jobs", "list", "--state", "failed")
    listed = await ran("admin", "jobs", "list", "--tenant", "studio", "--since", "2020-01-01", "--model", "test-model")
    assert job.name in listed and waiting.name not in listed
    (line,) = (
        await ran("admin", "jobs", "list", "--until", "2100-01-01T00:00:00Z", "--limit", "1", "--json")
    ).splitlines()
    assert json.loads(line)["tenant"] == "tenants/story"
    shown = await ran("admin", "jobs", "show", job.name)
    for part in ("studio, user ann", "worker-0", "PENDING in test", "spend", "open", "reserve"):
        assert part in shown, part
    cancelled = await ran("admin", "jobs", "cancel", waiting.name.removeprefix("jobs/"), "--reason", "abuse")
    assert "CANCELLED" in cancelled
    assert "Usage" in await ran("admin", "jobs", "cancel", waiting.name, code=2)
    assert "Usage" in await ran("admin", "jobs", "list", "--since", "yesterday", code=2)
    backend.gate.set()
    await i2v.ended(job.name)
