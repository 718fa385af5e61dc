"""What every vendor keeps, whatever happens: one suite, over real sockets, against each vendor's simulator.

Whatever a case does to it, the one thing that is counted at its end is how often the vendor was asked for paid work.
"""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.providers.vendors import VENDORS
from tests.provided import Provided, a_task, length_s, provided


@pytest_asyncio.fixture(params=sorted(VENDORS))
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Provided]:
    async with provided(request.param, tmp_path) as made:
        yield made


# --- a vendor that works --------------------------------------------------------------------------------------------


async def test_a_task_becomes_a_video(rig: Provided) -> None:
    told = await rig.generate()
    assert told.kinds == ["accepted", "progress", "output", "done"]
    assert told.done.size_bytes == len(told.video)
    assert told.done.sha256 == hashlib.sha256(told.video).hexdigest()
    assert length_s(told.video) == pytest.approx(5, abs=0.3)
    assert told.done.facts.model
    assert rig.simulator.paid == 1
    assert list(rig.data.iterdir()) == []
    assert rig.metric("i2v_vendor_tasks_total", model="wan-2.5", reason="", charge="charged") == 1
    assert rig.metric("i2v_vendor_tasks_open") == 0


async def test_a_slow_vendor_is_waited_for(rig: Provided) -> None:
    rig.play(queue_s=0.15, work_s=0.15)
    told = await rig.generate()
    assert told.stages == ["vendor-queue", "vendor-work", "download"]
    assert told.done
    assert rig.simulator.paid == 1


@pytest.mark.parametrize(
    ("submit", "end"),
    [
        ("moderation", ("MODERATION", "NOT_CHARGED")),
        ("bad-key", ("BAD_KEY", "NOT_CHARGED")),
        ("no-credit", ("NO_CREDIT", "NOT_CHARGED")),
        ("lost", ("ANSWER_LOST", "UNKNOWN")),
        ("hang", ("ANSWER_LOST", "UNKNOWN")),
        ("half", ("ANSWER_LOST", "UNKNOWN")),
        ("garbage", ("ANSWER_LOST", "UNKNOWN")),
        ("no-id", ("ANSWER_LOST", "UNKNOWN")),
        ("bad-id", ("ANSWER_LOST", "UNKNOWN")),
        ("types", ("ANSWER_LOST", "UNKNOWN")),
        ("deep", ("ANSWER_LOST", "UNKNOWN")),
        ("huge", ("ANSWER_LOST", "UNKNOWN")),
    ],
)
async def test_a_submission_that_is_not_answered_by_a_task_is_never_made_again(
    rig: Provided, submit: str, end: tuple[str, str]
) -> None:
    rig.play(submit=submit)
    told = await rig.generate(a_task())
    assert told.kinds == ["failed"]
    assert told.end == end
    assert not told.failed.resumable
    assert rig.simulator.paid == 1
