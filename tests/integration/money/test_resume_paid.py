"""Only the owner fetches paid work again, for free; only operators settle unknown outcomes."""

import asyncio
import hashlib
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.admin.v1 import reconcile_pb2, reconcile_pb2_grpc
from i2v.v1 import job_pb2, usage_pb2

from services.rpc.status_codes import from_call
from tests.support.scripted_provider import Failed, Found, ScriptedProvider, a_failure, a_video
from tests.support.served_orchestrator import Served, caller, text_spec

State = job_pb2.Job
VIDEO = a_video()
TIMED_OUT = a_failure("TIMED_OUT", Failed.UNKNOWN, resumable=True)


async def resume(i2v: Served, name: str, request_id: str = "", **who: str) -> job_pb2.Job:
    request = job_pb2.ResumeJobRequest(request_id=request_id or str(uuid.uuid4()), name=name)
    return await i2v.jobs.ResumeJob(request, metadata=caller(**who))


async def refusal(call: Any) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code().name, from_call(refused.value).reason


async def a_timed_out_job(i2v: Served, vendor: ScriptedProvider) -> job_pb2.Job:
    vendor.failures.append(TIMED_OUT)
    ended = await i2v.ended((await i2v.submit(text_spec(seconds=5, model="remote-text"))).name)
    assert ended.error.resumable
    return ended


async def spent(i2v: Served) -> int:
    return (await i2v.usage()).user.spent.amount_micros


async def test_a_resumed_job_delivers_the_video_for_free(i2v: Served, vendor: ScriptedProvider) -> None:
    failed = await a_timed_out_job(i2v, vendor)
    job = await resume(i2v, failed.name)
    assert (job.resumes, job.quote.amount_micros, job.spec) == (failed.name, 0, failed.spec)
    ended = await i2v.ended(job.name)
    assert (ended.state, ended.charged.amount_micros) == (State.SUCCEEDED, 0)
    assert await i2v.unsigned(ended) == hashlib.sha256(VIDEO).hexdigest()
    assert (len(vendor.submitted), vendor.attached) == (1, ["task-1"])
    assert (await i2v.job(failed.name)) == failed, "no event follows the terminal one"
    assert await spent(i2v) == 5000


async def test_a_resume_that_times_out_too_can_be_resumed(i2v: Served, vendor: ScriptedProvider) -> None:
    failed = await a_timed_out_job(i2v, vendor)
    vendor.failures.append(TIMED_OUT)
    again = await i2v.ended((await resume(i2v, failed.name)).name)
    assert (again.state, again.error.resumable) == (State.FAILED, True)
    last = await i2v.ended((await resume(i2v, again.name)).name)
    assert (last.state, last.resumes, len(vendor.submitted)) == (State.SUCCEEDED, failed.name, 1)
    assert await spent(i2v) == 5000


async def test_a_late_refund_of_the_vendor_is_refunded(i2v: Served, vendor: ScriptedProvider) -> None:
    failed = await a_timed_out_job(i2v, vendor)
    vendor.failures.append(a_failure("TASK_FAILED", Failed.NOT_CHARGED, retryable=True))
    ended = await i2v.ended((await resume(i2v, failed.name)).name)
    assert (ended.state, ended.charged.amount_micros, ended.error.resumable) == (State.FAILED, 0, False)
    usage = await i2v.usage()
    assert (usage.user.spent.amount_micros, usage.tenant.spent.amount_micros) == (0, 0)
    refunds = [entry for entry in usage.entries if entry.kind == usage_pb2.LedgerEntry.REFUND]
    assert [(entry.job, entry.spent.amount_micros) for entry in refunds] == [(failed.name, -5000)]
    now = await i2v.job(failed.name)
    assert (now.charged.amount_micros, now.refunded.amount_micros) == (5000, 5000)
    assert await refusal(resume(i2v, failed.name)) == ("FAILED_PRECONDITION", "NOT_RESUMABLE")
    assert len(vendor.submitted) == 1, "a resume never submits"


async def test_a_job_is_resumed_once_at_a_time(i2v: Served, vendor: ScriptedProvider) -> None:
    failed = await a_timed_out_job(i2v, vendor)
    vendor.working.clear()
    jobs = await asyncio.gather(*(resume(i2v, failed.name) for _ in range(5)))
    assert len({job.name for job in jobs}) == 1
    vendor.working.set()
    await i2v.ended(jobs[0].name)


async def test_only_the_owner_resumes_a_job_and_only_a_paid_one(i2v: Served, vendor: ScriptedProvider) -> None:
    failed = await a_timed_out_job(i2v, vendor)
    for who in ({"user": "bob"}, {"tenant": "story"}):
        assert await refusal(resume(i2v, failed.name, **who)) == ("NOT_FOUND", "NOT_FOUND")
    job = await i2v.ended((await i2v.submit(text_spec(seconds=5, model="remote-text"))).name)
    assert await refusal(resume(i2v, job.name)) == ("FAILED_PRECONDITION", "NOT_RESUMABLE")
    vendor.refusals.append(a_failure("MODERATION", Failed.NOT_CHARGED))
    free = await i2v.ended((await i2v.submit(text_spec(seconds=5, model="remote-text"))).name)
    assert await refusal(resume(i2v, free.name)) == ("FAILED_PRECONDITION", "NOT_RESUMABLE")


# --- operators ------------------------------------------------------------------------------------------------------


async def a_lost_job(i2v: Served, vendor: ScriptedProvider) -> job_pb2.Job:
    vendor.losses, vendor.finding = 1, Found.UNKNOWN
    job = await i2v.submit(text_spec(seconds=5, model="remote-text"))
    await i2v.until(job.name, "reconciling")
    return job


async def command(i2v: Served, folder: Path, *arguments: str, key: str = "the-operators-key") -> tuple[int, str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'gen'}:{Path.cwd() / 'clients/python/src'}",
        "I2V_SERVER": i2v.address,
        "I2V_KEY": key,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.client.cli", *arguments),
        env=environment,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_operators_list_and_settle_unknown_outcomes(
    i2v: Served, vendor: ScriptedProvider, tmp_path: Path
) -> None:
    released, charged, attached = [await a_lost_job(i2v, vendor) for _ in range(3)]
    code, listed = await command(i2v, tmp_path, "admin", "reconcile", "list", "--json")
    found = [json.loads(line) for line in listed.splitlines()]
    assert (code, [each["job"] for each in found]) == (0, [released.name, charged.name, attached.name])
    assert {(each["state"], each["provider"], each["price_micros"]) for each in found} == {
        ("submitting", "vendor", "5000")
    }
    for step, job, more in (("release", released, ()), ("charge", charged, ()), ("attach", attached, ("task-3",))):
        code, out = await command(i2v, tmp_path, "admin", "reconcile", step, job.name, *more)
        assert code == 0, out
    ends = [await i2v.ended(job.name) for job in (released, charged, attached)]
    assert [(end.state, end.charged.amount_micros) for end in ends] == [
        (State.FAILED, 0),
        (State.FAILED, 5000),
        (State.SUCCEEDED, 5000),
    ]
    assert (vendor.attached, len(vendor.submitted)) == (["task-3"], 3)
    code, out = await command(i2v, tmp_path, "admin", "reconcile", "release", charged.name)
    assert code == 3 and "is known" in out


async def refund(i2v: Served, name: str, **who: str) -> reconcile_pb2.PaidCall:
    stub: Any = reconcile_pb2_grpc.ReconcileServiceStub(i2v.channel)
    request = reconcile_pb2.RefundPaidCallRequest(job=name)
    return await stub.RefundPaidCall(request, metadata=caller(**who or {"key": "the-operators-key"}))


async def a_job_of_unknown_cost(i2v: Served, vendor: ScriptedProvider) -> job_pb2.Job:
    vendor.failures.append(a_failure("TASK_CANCELLED", Failed.UNKNOWN))
    ended = await i2v.ended((await i2v.submit(text_spec(seconds=5, model="remote-text"))).name)
    assert (ended.state, ended.charged.amount_micros, ended.HasField("refunded")) == (State.FAILED, 5000, False)
    return ended


async def test_operators_refund_a_charge_without_a_video(i2v: Served, vendor: ScriptedProvider, tmp_path: Path) -> None:
    failed = await a_job_of_unknown_cost(i2v, vendor)
    assert await refusal(refund(i2v, failed.name, tenant="studio")) == ("PERMISSION_DENIED", "OPERATORS_ONLY")
    code, out = await command(i2v, tmp_path, "admin", "reconcile", "refund", failed.name)
    assert code == 0, out
    asked = [await refund(i2v, failed.name) for _ in range(2)]
    assert [(call.job, call.state, call.price_micros) for call in asked] == [(failed.name, "released", 5000)] * 2
    now = await i2v.job(failed.name)
    failed.refunded.amount_micros, failed.refunded.currency_code = 5000, "USD"
    assert now == failed, "no other event follows the terminal one"
    usage = await i2v.usage()
    assert (usage.user.spent.amount_micros, usage.tenant.spent.amount_micros) == (0, 0)
    refunds = [entry for entry in usage.entries if entry.kind == usage_pb2.LedgerEntry.REFUND]
    assert [(entry.job, entry.spent.amount_micros) for entry in refunds] == [(failed.name, -5000)]
    refunded = {"provider": "vendor", "step": "refunded"}
    assert i2v.registry.get_sample_value("i2v_paid_calls_total", refunded) == 1


async def test_concurrent_refunds_of_operators_refund_once(i2v: Served, vendor: ScriptedProvider) -> None:
    failed = await a_job_of_unknown_cost(i2v, vendor)
    await asyncio.gather(*(refund(i2v, failed.name) for _ in range(8)))
    assert await spent(i2v) == 0


async def test_a_charge_with_a_video_is_not_refunded(i2v: Served, vendor: ScriptedProvider) -> None:
    done = await i2v.ended((await i2v.submit(text_spec(seconds=5, model="remote-text"))).name)
    vendor.refusals.append(a_failure("MODERATION", Failed.NOT_CHARGED))
    free = await i2v.ended((await i2v.submit(text_spec(seconds=5, model="remote-text"))).name)
    lost = await a_lost_job(i2v, vendor)
    for job in (done, free, lost):
        assert await refusal(refund(i2v, job.name)) == ("FAILED_PRECONDITION", "NOT_REFUNDABLE")
    assert await refusal(refund(i2v, f"jobs/{'0' * 32}")) == ("NOT_FOUND", "NOT_FOUND")
    assert await spent(i2v) == 5000


async def test_a_charge_is_refunded_only_if_a_resume_fetches_nothing(i2v: Served, vendor: ScriptedProvider) -> None:
    failed, fetched = await a_timed_out_job(i2v, vendor), await a_timed_out_job(i2v, vendor)
    await i2v.ended((await resume(i2v, fetched.name)).name)
    vendor.working.clear()
    vendor.failures.append(a_failure("TASK_GONE", Failed.UNKNOWN))
    again = await resume(i2v, failed.name)
    for job in (failed, again, fetched):
        assert await refusal(refund(i2v, job.name)) == ("FAILED_PRECONDITION", "NOT_REFUNDABLE")
    vendor.working.set()
    await i2v.ended(again.name)
    assert (await refund(i2v, again.name)).job == failed.name, "the one that was charged"
    assert (await i2v.job(failed.name)).refunded.amount_micros == 5000
    assert await spent(i2v) == 5000
    assert await refusal(resume(i2v, failed.name)) == ("FAILED_PRECONDITION", "NOT_RESUMABLE")


async def test_unknown_outcomes_are_listed_in_pages(i2v: Served, vendor: ScriptedProvider) -> None:
    names = [(await a_lost_job(i2v, vendor)).name for _ in range(3)]
    stub: Any = reconcile_pb2_grpc.ReconcileServiceStub(i2v.channel)
    operator = caller(key="the-operators-key")
    request = reconcile_pb2.ListPaidCallsRequest(page_size=2)
    first = await stub.ListPaidCalls(request, metadata=operator)
    request.page_token = first.next_page_token
    last = await stub.ListPaidCalls(request, metadata=operator)
    assert [[call.job for call in page.paid_calls] for page in (first, last)] == [names[:2], names[2:]]
    assert last.next_page_token == ""
    for wrong, word in (({"page_size": 201}, "PAGE_SIZE_OUT_OF_RANGE"), ({"page_token": "x"}, "PAGE_TOKEN_MALFORMED")):
        listing = stub.ListPaidCalls(reconcile_pb2.ListPaidCallsRequest(**wrong), metadata=operator)
        assert await refusal(listing) == ("INVALID_ARGUMENT", word)
    for name in names:
        await stub.ReleasePaidCall(reconcile_pb2.ReleasePaidCallRequest(job=name), metadata=operator)


async def test_two_jobs_are_never_given_the_same_task(i2v: Served, vendor: ScriptedProvider) -> None:
    failed = await a_timed_out_job(i2v, vendor)
    lost = await a_lost_job(i2v, vendor)
    stub: Any = reconcile_pb2_grpc.ReconcileServiceStub(i2v.channel)
    request = reconcile_pb2.AttachPaidCallRequest(job=lost.name, external_ref="task-1")
    operator = caller(key="the-operators-key")
    assert await refusal(stub.AttachPaidCall(request, metadata=operator)) == (
        "FAILED_PRECONDITION",
        "REFERENCE_TAKEN",
    )
    assert (await i2v.job(lost.name)).state == State.RECONCILING
    assert failed.state == State.FAILED
    await stub.ReleasePaidCall(reconcile_pb2.ReleasePaidCallRequest(job=lost.name), metadata=operator)


async def test_only_operators_settle_and_operators_have_no_jobs(i2v: Served) -> None:
    stub: Any = reconcile_pb2_grpc.ReconcileServiceStub(i2v.channel)
    listing = reconcile_pb2.ListPaidCallsRequest()
    assert await refusal(stub.ListPaidCalls(listing, metadata=caller())) == ("PERMISSION_DENIED", "OPERATORS_ONLY")
    jobs = i2v.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=caller(key="the-operators-key"))
    assert await refusal(jobs) == ("PERMISSION_DENIED", "TENANTS_ONLY")


async def test_the_command_resumes_a_job(i2v: Served, vendor: ScriptedProvider, tmp_path: Path) -> None:
    vendor.failures.append(TIMED_OUT)
    job = await i2v.submit(text_spec(seconds=5, model="remote-text"), user="default")
    await i2v.ended(job.name, user="default")
    code, out = await command(i2v, tmp_path, "resume", job.name, "--out", "fetched.mp4", key="studio-key")
    assert code == 0, out
    resumed = (await i2v.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=caller(user="default"))).jobs[0]
    assert await i2v.unsigned(resumed, user="default") == hashlib.sha256(VIDEO).hexdigest()
    assert (tmp_path / "fetched.mp4").read_bytes() == await i2v.download(resumed.output.asset, user="default")
