"""The videos that vendors make: how they are fetched, and what is refused."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.support.provider_and_simulator import Provided, provided
from tools.simulators.simulator import Simulator


@pytest.mark.parametrize(
    ("output", "reason", "resumable"),
    [
        ("403", "OUTPUT_UNAVAILABLE", True),
        ("404", "OUTPUT_UNAVAILABLE", True),
        ("410", "OUTPUT_UNAVAILABLE", True),
        ("private", "OUTPUT_UNAVAILABLE", True),
        ("elsewhere", "OUTPUT_UNAVAILABLE", True),
        ("file", "OUTPUT_UNAVAILABLE", True),
        ("no-name", "OUTPUT_UNAVAILABLE", True),
        ("redirect", "OUTPUT_UNAVAILABLE", True),
        ("no-video", "OUTPUT_WRONG", True),
        ("huge", "OUTPUT_WRONG", False),
    ],
)
async def test_an_output_that_cannot_be_fetched_is_paid_for(
    tmp_path: Path, vendor: str, output: str, reason: str, resumable: bool
) -> None:
    async with provided(vendor, tmp_path, change=lambda values, _: values.update(output_bytes=1_000_000)) as rig:
        rig.play(output=output)
        result = await rig.generate()
        assert result.end == (reason, "CHARGED")
        assert (result.failed.resumable, result.failed.retryable) == (resumable, False)
        if output != "huge":
            rig.simulator.works[result.ref].scenario.output = ""
            assert (await rig.attach(result.ref)).done
        assert rig.simulator.paid == 1


@pytest.mark.parametrize("output", ["503", "429", "stall", "cut", "empty", "packed", "changed"])
async def test_a_temporarily_missing_output_is_fetched_until_the_time_limit_and_again_later(
    tmp_path: Path, vendor: str, output: str
) -> None:
    def change(values: dict[str, Any], simulator: Simulator) -> None:
        values |= {"download_s": 1.0, "stall_s": 0.2 if output == "stall" else 10.0}

    async with provided(vendor, tmp_path, change=change) as rig:
        rig.play(output=output)
        result = await rig.generate()
        assert result.end == ("OUTPUT_UNAVAILABLE", "CHARGED")
        assert (result.failed.resumable, result.failed.retryable) == (True, True)
        rig.simulator.works[result.ref].scenario.output = ""
        assert (await rig.attach(result.ref)).done
        assert rig.simulator.paid == 1


@pytest.mark.parametrize(
    "outputs",
    [
        ["503"] * 12,
        ["lost"] * 12,
        ["429", "500", "502", "503", "504", "lost", "408"],
        ["404"] * 3,
        ["403", "404", "403"],
        ["no-video"] * 3,
        ["no-video", "503", "404", "lost", "no-video", "503", "404", "lost", "no-video"],
    ],
    ids=["down", "silent", "busy", "not-yet", "temporarily-forbidden", "page", "everything"],
)
async def test_a_temporarily_unavailable_file_host_ends_no_task(rig: Provided, outputs: list[str]) -> None:
    rig.play(outputs=list(outputs))
    result = await rig.generate()
    assert result.video == rig.simulator.video(rig.simulator.works[result.ref])
    assert rig.simulator.counts["output"] == len(outputs) + 1
    assert rig.simulator.paid == 1


async def test_a_file_host_without_ranges_sends_the_whole_file_again(rig: Provided) -> None:
    rig.play(output="no-range", outputs=["cut-once"])
    result = await rig.generate()
    assert result.video == rig.simulator.video(rig.simulator.works[result.ref])
    assert rig.simulator.counts["output"] == 3


@pytest.mark.parametrize("output", ["cut-once", "cut-no-range"])
async def test_an_interrupted_download_continues_where_it_stopped(rig: Provided, output: str) -> None:
    rig.play(output=output)
    result = await rig.generate()
    work = rig.simulator.works[result.ref]
    assert result.video == rig.simulator.video(work)
    assert result.done.sha256 == hashlib.sha256(result.video).hexdigest()
    assert rig.simulator.counts["output"] == 2
    assert rig.simulator.paid == 1
