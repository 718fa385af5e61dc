"""Submissions whose answer was lost: each is found, or proved not to exist."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from i2v.provider.v1 import provider_pb2 as pb

from tests.support.provider_and_simulator import KLING, Provided, a_task, provided

LATER_S = 2400
"""After that no submission of default settings can be under way any more."""


@asynccontextmanager
async def lost(data: Path, before_s: float = 5000.0) -> AsyncIterator[tuple[Provided, list[float], float]]:
    """A provider of an account with a task from before, one submission that came to nothing, the clock and its time."""
    now = [time.time()]
    async with provided("wavespeed", data, clock=lambda: now[0]) as rig:
        await rig.generate(a_task("before"))
        next(iter(rig.simulator.works.values())).began -= before_s
        rig.play(submit="garbage")
        asked = time.time()
        assert (await rig.generate()).end == ("ANSWER_LOST", "UNKNOWN")
        rig.play()
        yield rig, now, asked


async def finding(rig: Provided, asked: float) -> str:
    return pb.FindResponse.Outcome.Name((await rig.find("submission-1", asked)).outcome)


async def test_the_vendors_list_can_prove_that_nothing_was_accepted(tmp_path: Path) -> None:
    async with lost(tmp_path) as (rig, now, asked):
        assert await finding(rig, asked) == "UNKNOWN"  # Too early to decide.
        now[0] = asked + LATER_S
        assert await finding(rig, asked) == "ABSENT"
        await rig.generate(a_task("kling", **KLING))  # certainly another task
        assert await finding(rig, asked) == "ABSENT"
        *_, other = rig.simulator.works.values()
        other.request.model = "alibaba/wan-2.5-i2v"
        assert await finding(rig, asked) == "UNKNOWN"  # A task of an unknown model may be ours.
        rig.simulator.works.pop(other.ref)
        assert await finding(rig, asked) == "ABSENT"
        now[0] = asked + 8 * 86400
        assert await finding(rig, asked) == "UNKNOWN"  # Too late to decide.


async def test_an_absent_task_proves_nothing_while_its_submission_may_still_arrive(tmp_path: Path) -> None:
    async with lost(tmp_path) as (rig, now, asked):
        now[0] = asked + 1900  # Three uploads of four times two minutes, and a margin for clocks.
        assert await finding(rig, asked) == "UNKNOWN"


@pytest.mark.parametrize("after_s", [0, 700, 1500, 90_000])
async def test_a_task_that_began_after_the_submission_may_belong_to_it(tmp_path: Path, after_s: float) -> None:
    """The time of a submission is journalled before its inputs are uploaded."""
    async with lost(tmp_path) as (rig, now, asked):
        now[0] = asked + LATER_S + after_s
        await rig.generate(a_task("another"))
        *_, another = rig.simulator.works.values()
        another.began += after_s
        assert await finding(rig, asked) == "UNKNOWN"


@pytest.mark.parametrize(
    ("listed", "others"), [("empty", 0), ("capped", 2), ("reversed", 1), ("garbage", 0), ("short", 0), ("full", 100)]
)
async def test_an_unordered_or_short_list_proves_nothing(tmp_path: Path, listed: str, others: int) -> None:
    async with lost(tmp_path, before_s=0.0 if listed == "short" else 5000.0) as (rig, now, asked):
        now[0] = asked + LATER_S
        before, *_ = rig.simulator.works.values()
        for number in range(others):  # of another model, so that they are not it
            request = replace(before.request, model="kwaivgi/kling-v2.5-turbo-std/image-to-video")
            rig.simulator.works[f"other-{number}"] = replace(
                before, ref=f"other-{number}", request=request, began=before.began + 5000 + number
            )
        if listed == "short":
            before.request.model = "kwaivgi/kling-v2.5-turbo-std/image-to-video"
        expected = "ABSENT" if listed == "full" else "UNKNOWN"  # That one goes on, on its second page.
        rig.play(listed=listed)
        assert await finding(rig, asked) == expected
