"""Lost answers to submissions: found, proved absent, waited for, or left to an operator."""

from pathlib import Path

import grpc
import pytest

from tests.support.paid_work import State, impatient, journal, kinds, money, remotely, spec
from tests.support.scripted_provider import Found, ScriptedProvider
from tests.support.served_orchestrator import Served


async def test_a_lost_task_is_found_and_never_submitted_again(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.losses = 1
    job = await i2v.submit(spec())
    await i2v.until(job.name, "reconciling")
    assert (await i2v.job(job.name)).state == State.RECONCILING
    assert await money(i2v) == (5000, 0), "the reservation stays"
    assert (await i2v.cancel(job.name)).state == State.RECONCILING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await i2v.delete_job(job.name, stop=True)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION, "what may be paid for is not hidden"
    vendor.finding, vendor.found_ref = Found.FOUND, "task-1"
    ended = await i2v.ended(job.name)
    assert (ended.state, ended.attempt, ended.charged.amount_micros) == (State.SUCCEEDED, 2, 5000)
    assert (len(vendor.submitted), vendor.attached) == (1, ["task-1"])
    assert vendor.found[0].submission_id == vendor.submitted[0].submission_id
    assert (await kinds(i2v, job.name))[3:7] == ["reconciling", "accepted", "resumed", "started"]


async def test_a_lost_answer_is_free_if_the_vendor_never_got_the_submission(
    i2v: Served, vendor: ScriptedProvider
) -> None:
    vendor.losses, vendor.finding = 1, Found.ABSENT
    ended = await i2v.ended((await i2v.submit(spec())).name)
    assert (ended.state, ended.error.reason, ended.error.retryable) == (State.FAILED, "ANSWER_LOST", True)
    assert (ended.charged.amount_micros, len(vendor.submitted), await journal(i2v)) == (0, 1, ["released"])


async def test_a_submission_not_found_after_the_refund_window_is_free(
    database: str, tmp_path: Path, vendor: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    vendor.losses, vendor.refund_window_s = 1, 0.0
    async with remotely(database, tmp_path, vendor, change=impatient) as i2v:
        ended = await i2v.ended((await i2v.submit(spec())).name)
        assert (ended.state, ended.charged.amount_micros) == (State.FAILED, 0)
        assert "no such task was found" in ended.error.message, "it is unknown whether the vendor has the task"
        assert (len(vendor.submitted), len(vendor.found)) == (1, 1)
        assert "the vendor's bill may have it" in caplog.text


@pytest.mark.parametrize("silent", ["promises nothing", "cannot be asked", "promises more time"])
async def test_without_an_answer_after_the_refund_window_an_operator_must_settle(
    database: str, tmp_path: Path, vendor: ScriptedProvider, silent: str
) -> None:
    vendor.losses = 1
    vendor.out_of_reach = silent == "cannot be asked"
    vendor.refund_window_s = {"promises nothing": None, "cannot be asked": 0.0, "promises more time": 3600.0}[silent]
    async with remotely(database, tmp_path, vendor, change=impatient) as i2v:
        job = await i2v.submit(spec())
        for _ in range(3):
            await vendor.looks.get()
        assert (await i2v.job(job.name)).state == State.RECONCILING
        assert (await money(i2v), await journal(i2v)) == ((5000, 0), ["submitting"])
        vendor.out_of_reach, vendor.refund_window_s = False, 0.0
        ended = await i2v.ended(job.name)
        assert (ended.state, ended.charged.amount_micros) == (State.FAILED, 0)
