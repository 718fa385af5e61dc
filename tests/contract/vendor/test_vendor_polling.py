"""Polling a vendor's task: no answer, however wrong, changes what is paid or delivered."""

import time
from pathlib import Path

import pytest

from tests.support.provider_and_simulator import Provided, provided, until


@pytest.mark.parametrize(
    "polls",
    [
        ["500", "502", "503", "504"],
        ["429", "429"],
        ["404", "404"],
        ["418"],
        ["403"],
        ["lost", "lost"],
        ["hang"],
        ["garbage"],
        ["types"],
        ["deep"],
        ["huge"],
        ["500", "lost", "garbage", "429", "types", "404", "deep"],
    ],
)
async def test_a_failed_poll_changes_nothing(rig: Provided, polls: list[str]) -> None:
    rig.play(polls=list(polls), work_s=0.05)
    result = await rig.generate()
    assert result.done
    assert rig.simulator.scenario.polls == []
    assert rig.simulator.paid == 1


async def test_a_vendor_that_requests_slower_polling_is_polled_more_slowly(rig: Provided) -> None:
    rig.play(polls=["429"], retry_after="1")
    before = time.monotonic()
    assert (await rig.generate()).done
    assert time.monotonic() - before >= 0.9


async def test_a_permanent_fault_leaves_a_task_that_can_be_resumed(tmp_path: Path, vendor: str) -> None:
    async with provided(vendor, tmp_path, change=lambda values, _: values.update(watch_s=0.3)) as rig:
        rig.play(polls=["500"] * 1000)
        result = await rig.generate()
        assert result.end == ("TIMED_OUT", "UNKNOWN")
        assert result.failed.resumable
        rig.simulator.works[result.ref].scenario.polls.clear()
        assert (await rig.attach(result.ref)).done
        assert rig.simulator.paid == 1


async def test_a_timeout_leaves_a_task_that_can_be_resumed(tmp_path: Path, vendor: str) -> None:
    async with provided(vendor, tmp_path, change=lambda values, _: values.update(watch_s=0.2)) as rig:
        rig.play(stay="work")
        result = await rig.generate()
        assert result.end == ("TIMED_OUT", "UNKNOWN")
        assert result.failed.resumable
        rig.simulator.release()
        again = await rig.attach(result.ref)
        assert again.kinds == ["accepted", "progress", "output", "done"]
        assert again.ref == result.ref
        assert rig.simulator.paid == 1


@pytest.mark.parametrize(
    ("state", "reason", "charges"),
    [
        ("failed", "TASK_FAILED", {"NOT_CHARGED"}),
        ("cancelled", "TASK_CANCELLED", {"UNKNOWN"}),
        ("timeout", "TASK_FAILED", {"UNKNOWN", "NOT_CHARGED"}),
        ("deleted", "TASK_GONE", {"UNKNOWN"}),
        ("moderation", "MODERATION", {"UNKNOWN", "NOT_CHARGED"}),
    ],
)
async def test_a_task_that_ends_without_a_video_has_failed(
    hasty: Provided, state: str, reason: str, charges: set[str]
) -> None:
    rig = hasty
    rig.play(end=state, work_s=0.03)
    result = await rig.generate()
    assert result.end[0] == reason
    assert result.end[1] in charges
    # fal answers "not found" for a deleted task, and may find it again later.
    assert result.failed.resumable == (state == "deleted" and rig.vendor == "fal")
    assert (await rig.attach(result.ref)).end == result.end
    assert rig.simulator.paid == 1


async def test_a_completed_task_without_a_video_is_polled_until_the_time_limit(tmp_path: Path, vendor: str) -> None:
    async with provided(vendor, tmp_path, change=lambda values, _: values.update(watch_s=0.2)) as rig:
        rig.play(end="no-output")
        assert (await rig.generate()).end == ("TIMED_OUT", "UNKNOWN")
        assert rig.simulator.paid == 1


async def test_a_key_revoked_during_a_task_leaves_a_task_that_can_be_resumed(rig: Provided) -> None:
    rig.play(stay="work")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    key, rig.simulator.key = rig.simulator.key, "another"
    failed = (await until(call, "failed")).failed
    assert (failed.reason, failed.resumable, failed.retryable) == ("BAD_KEY", True, True)
    rig.simulator.key = key
    rig.simulator.release()
    assert (await rig.attach(ref)).done
    assert rig.simulator.paid == 1
