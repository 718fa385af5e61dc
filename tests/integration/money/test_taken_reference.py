"""A vendor names a task that another job has: no other job gets that video, it is reported, and an operator can act."""

import logging
from typing import Any

import grpc
import pytest
from i2v.admin.v1 import reconcile_pb2, reconcile_pb2_grpc
from i2v.v1 import job_pb2

from services.rpc.status_codes import from_call
from tests.support.paid_work import OPERATOR, State, kinds, money, spec
from tests.support.scripted_provider import Found, ScriptedProvider
from tests.support.served_orchestrator import Served

TAKEN = "REFERENCE_TAKEN"


async def two_jobs_of_one_task(i2v: Served, vendor: ScriptedProvider) -> tuple[job_pb2.Job, job_pb2.Job]:
    """For the second the vendor names the first one's task."""
    vendor.refs = ["task-x", "task-x"]
    first = await i2v.ended((await i2v.submit(spec())).name)
    second = await i2v.submit(spec())
    return first, second


def operators(i2v: Served) -> Any:
    return reconcile_pb2_grpc.ReconcileServiceStub(i2v.channel)


async def shown(i2v: Served, name: str) -> tuple[str, str]:
    call = await operators(i2v).GetPaidCall(reconcile_pb2.GetPaidCallRequest(job=name), metadata=OPERATOR)
    return call.reason, call.message


def taken(i2v: Served) -> float:
    return i2v.registry.get_sample_value("i2v_paid_calls_total", {"provider": "vendor", "step": "taken"}) or 0.0


async def test_a_task_of_another_job_is_reported_on_the_job_in_the_log_and_in_the_metrics(
    i2v: Served, vendor: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        first, second = await two_jobs_of_one_task(i2v, vendor)
        error = (await i2v.until(second.name, "reconciling")).reconciling.error
    assert (error.reason, error.retryable) == (TAKEN, False)
    assert "another job" in error.message and first.name not in error.message, "that may be another tenant's"
    assert await shown(i2v, second.name) == (TAKEN, error.message)
    listed = await operators(i2v).ListPaidCalls(reconcile_pb2.ListPaidCallsRequest(), metadata=OPERATOR)
    assert [(call.job, call.reason) for call in listed.paid_calls] == [(second.name, TAKEN)]
    records = [record for record in caplog.records if "task that another job has" in record.message]
    assert {(each.backend, each.external_ref) for each in records} == {("vendor", "task-x")}  # type: ignore[attr-defined]
    assert taken(i2v) == 1
    assert first.state == State.SUCCEEDED
    release = reconcile_pb2.ReleasePaidCallRequest(job=second.name)
    await operators(i2v).ReleasePaidCall(release, metadata=OPERATOR)
    assert (await i2v.job(second.name)).error.reason == "SETTLED_BY_OPERATOR"
    assert await money(i2v) == (0, 5000)


async def test_an_operator_can_attach_only_the_jobs_own_task_and_sees_why(
    i2v: Served, vendor: ScriptedProvider
) -> None:
    first, second = await two_jobs_of_one_task(i2v, vendor)
    await i2v.until(second.name, "reconciling")
    attach = reconcile_pb2.AttachPaidCallRequest(job=second.name, external_ref="task-x")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await operators(i2v).AttachPaidCall(attach, metadata=OPERATOR)
    failure = from_call(refused.value)
    assert (failure.reason, failure.metadata["job"]) == (TAKEN, first.name)
    assert first.name in failure.message, "operators see whose it is"
    attach.external_ref = "task-y"
    await operators(i2v).AttachPaidCall(attach, metadata=OPERATOR)
    ended = await i2v.ended(second.name)
    assert (ended.state, vendor.attached) == (State.SUCCEEDED, ["task-y"])
    assert await shown(i2v, second.name) == ("", "")
    assert await money(i2v) == (0, 10_000)


async def test_an_operator_can_charge_a_job_with_a_missing_task(i2v: Served, vendor: ScriptedProvider) -> None:
    _, second = await two_jobs_of_one_task(i2v, vendor)
    await i2v.until(second.name, "reconciling")
    charge = reconcile_pb2.ChargePaidCallRequest(job=second.name)
    await operators(i2v).ChargePaidCall(charge, metadata=OPERATOR)
    assert (await i2v.job(second.name)).state == State.FAILED
    assert await money(i2v) == (0, 10_000)


async def test_a_lost_submission_found_as_the_task_of_another_job_is_reported_once(
    i2v: Served, vendor: ScriptedProvider
) -> None:
    vendor.refs = ["task-x"]
    await i2v.ended((await i2v.submit(spec())).name)
    vendor.losses, vendor.finding, vendor.found_ref = 1, Found.FOUND, "task-x"
    second = await i2v.submit(spec())
    why: list[str] = []
    async for event in i2v.watch(second.name):
        if event.HasField("reconciling"):
            why.append(event.reconciling.error.reason)
        if len(why) == 2:
            break
    assert why == ["ANSWER_LOST", TAKEN]
    for _ in range(3):
        await vendor.looks.get()
    assert (await shown(i2v, second.name))[0] == TAKEN
    release = reconcile_pb2.ReleasePaidCallRequest(job=second.name)
    await operators(i2v).ReleasePaidCall(release, metadata=OPERATOR)
    assert (await kinds(i2v, second.name)).count("reconciling") == 2
    assert taken(i2v) == 1
