"""Stopping a vendor's task, and attaching to one again."""

import grpc
import pytest

from services.rpc.status_codes import from_call
from tests.support.provider_and_simulator import Provided, until


async def test_a_task_in_the_vendors_queue_is_stopped_if_the_vendor_supports_it(rig: Provided) -> None:
    rig.play(stay="queue")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    await until(call, "progress", "vendor-queue")
    result = await rig.capabilities()
    can_cancel = result.can_cancel
    assert (can_cancel, result.can_find) == {"fal": (True, False), "wavespeed": (False, True)}[rig.vendor]
    assert await rig.cancel(ref) == ("STOPPED" if can_cancel else "GOES_ON")
    rig.simulator.release()
    if can_cancel:
        assert (await until(call, "failed")).failed.reason == "TASK_CANCELLED"
        assert (await rig.attach(ref)).failed.reason == "TASK_CANCELLED"
    else:
        assert await until(call, "done")
        assert (await rig.attach(ref)).done
    assert rig.simulator.paid == 1


async def test_a_running_task_continues_after_a_stop(rig: Provided) -> None:
    rig.play(stay="work")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    await until(call, "progress", "vendor-work")
    assert await rig.cancel(ref) == "GOES_ON"
    rig.simulator.release()
    assert await until(call, "done")
    assert (await rig.attach(ref)).done
    assert rig.simulator.paid == 1


async def test_a_task_whose_video_is_fetched_has_ended(rig: Provided) -> None:
    rig.play(output="slow")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    await until(call, "progress", "download")
    assert await rig.cancel(ref) == "ENDED"
    assert await until(call, "done")
    assert await rig.cancel(ref) == "ENDED"
    assert (await rig.attach(ref)).done
    assert rig.simulator.paid == 1


async def test_a_vendor_that_cannot_stop_a_task_reports_it(rig: Provided) -> None:
    rig.play(stay="queue")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    rig.simulator.works[ref].scenario.polls[:] = ["500"] * 1000
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.cancel(ref)
    assert (caught.value.code(), from_call(caught.value).reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "VENDOR_UNREACHABLE",
    )
    call.cancel()


async def test_a_refused_key_does_not_mean_that_a_task_has_ended(rig: Provided) -> None:
    rig.play(stay="work")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    rig.simulator.key = "another"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.cancel(ref)
    assert from_call(caught.value).reason == "VENDOR_UNREACHABLE"
    call.cancel()


@pytest.mark.parametrize("stage", ["vendor-queue", "vendor-work", "download"])
async def test_a_caller_that_returns_attaches_to_its_task(rig: Provided, stage: str) -> None:
    rig.play(stay="" if stage == "download" else stage.removeprefix("vendor-"), output="slow")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    await until(call, "progress", stage)
    call.cancel()
    again = rig.attaching(ref)
    assert (await until(again, "accepted")).accepted.external_ref == ref
    rig.simulator.release()
    assert await until(again, "done")
    assert rig.simulator.paid == 1


async def test_an_unknown_task_is_gone(hasty: Provided) -> None:
    assert (await hasty.attach("task-of-somebody-else")).end == ("TASK_GONE", "UNKNOWN")
    assert hasty.simulator.paid == 0


async def test_a_task_that_the_vendor_temporarily_does_not_find_is_not_lost(rig: Provided) -> None:
    rig.play(polls=["404"] * 12)
    assert (await rig.generate()).done
    assert rig.simulator.paid == 1


async def test_a_missing_task_can_be_attached_to_when_the_vendor_finds_it_again(hasty: Provided) -> None:
    hasty.play(polls=["404"] * 1000)
    result = await hasty.generate()
    assert result.end == ("TASK_GONE", "UNKNOWN")
    assert result.failed.resumable
    hasty.simulator.works[result.ref].scenario.polls.clear()
    assert (await hasty.attach(result.ref)).done
    assert hasty.simulator.paid == 1


@pytest.mark.parametrize("ref", ["", "../../account", "a/b", "a b", "x" * 129, "a?b", ".."])
async def test_a_text_that_cannot_be_a_vendors_id_is_never_sent(rig: Provided, ref: str) -> None:
    for call in (rig.attach(ref), rig.cancel(ref)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert rig.simulator.counts.total() == 0
