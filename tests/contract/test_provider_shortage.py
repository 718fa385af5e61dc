"""A provider with a shortage on its machine reports it, and whether anything was submitted."""

import asyncio
import os
import resource
from pathlib import Path

import grpc
import pytest
from i2v.provider.v1 import provider_pb2 as pb

from services.rpc.status_codes import from_call
from tests.support.provider_and_simulator import PICTURE, generate, process
from tools.simulators.scenario import Scenario
from tools.simulators.wavespeed import WaveSpeedSimulator

LARGE = PICTURE + bytes(300_000)


def limited(process: asyncio.subprocess.Process, kind: int, soft: int) -> tuple[int, int]:
    """Sets a limit of another process, and returns what it was."""
    before = resource.prlimit(process.pid, kind)
    resource.prlimit(process.pid, kind, (soft, before[1]))
    return before


async def outcome(stub: object, submission_id: str) -> str:
    """The result of a submission of a picture: `taken`, or the reason why it was certainly not submitted."""
    call = generate(stub, submission_id, LARGE)
    event = await call.read()
    call.cancel()
    if event.HasField("accepted"):
        return "taken"
    assert event.failed.charge == pb.Failed.NOT_CHARGED, event
    assert event.failed.retryable
    return str(event.failed.reason)


async def answered(stub: object, submission_id: str) -> str:
    try:
        return await outcome(stub, submission_id)
    except grpc.aio.AioRpcError as error:
        assert from_call(error).reason == "NOTHING_SUBMITTED", error
        return "NOTHING_SUBMITTED"


@pytest.mark.parametrize("inline", ["4000000", "1"], ids=["inline", "uploaded"])
async def test_without_descriptors_nothing_is_submitted_and_the_answer_says_so(tmp_path: Path, inline: str) -> None:
    async with (
        WaveSpeedSimulator().running() as simulator,
        process(simulator, tmp_path, LOOK_EVERY_S="5", INLINE_BYTES=inline, BREAKER_FAILURES="2") as (made, stub),
    ):
        simulator.scenario = Scenario(stay="work")
        assert await answered(stub, "first") == "taken"
        answers = []
        for spare in range(-4, 8):  # from no descriptors to enough: each step fails once for lack of one
            soft = len(os.listdir(f"/proc/{made.pid}/fd")) + spare
            before = limited(made, resource.RLIMIT_NOFILE, soft)
            answers.append(await answered(stub, f"with-{spare}"))
            resource.prlimit(made.pid, resource.RLIMIT_NOFILE, before)
        assert {"NOTHING_SUBMITTED", "taken"} <= set(answers) <= {"NOTHING_SUBMITTED", "RESOURCES_EXHAUSTED", "taken"}
        assert len(simulator.works) == 1 + answers.count("taken"), "an interrupted request does not count"
        assert await answered(stub, "last") == "taken", "the breaker counts failures of the vendor, not ours"


async def test_a_full_disk_submits_nothing(tmp_path: Path) -> None:
    async with WaveSpeedSimulator().running() as simulator, process(simulator, tmp_path) as (made, stub):
        simulator.scenario = Scenario(stay="work")
        before = limited(made, resource.RLIMIT_FSIZE, 100_000)
        assert await answered(stub, "first") == "NOTHING_SUBMITTED"
        resource.prlimit(made.pid, resource.RLIMIT_FSIZE, before)
        assert simulator.paid == 0
        assert await answered(stub, "first") == "taken", "under the same id, because nothing was submitted under it"
