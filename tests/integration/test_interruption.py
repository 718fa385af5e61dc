"""The command interrupted: a restart of its server does not show, and Ctrl-C ends it, politely or at once."""

import asyncio
import signal

from i2v.v1 import job_pb2

from tests.command import GENERATE, Command
from tests.scripted_server import Rig, serving


async def until(line: bytes, process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(90):
        async for each in process.stderr:
            if line in each:
                return
    raise AssertionError(f"the command never said {line!r}")


async def test_a_restart_of_the_server_does_not_show(rig: Rig, i2v: Command) -> None:
    rig.script.endless = True
    process = await i2v.start("watch", "7")
    await until(b"fragment 0", process)
    await rig.server.drain(0)
    rig.script.endless = False
    second = await serving(rig.script, rig.address)
    ended = await i2v.end(process)
    await second.drain(0)
    assert [line.split("  ")[-1] for line in ended.err.splitlines()] == [
        "finish 90%",
        "succeeded, 0.005000 USD charged",
    ]
    assert ended.code == 0


async def test_ctrl_c_cancels_the_job_and_says_what_was_charged(rig: Rig, i2v: Command) -> None:
    rig.script.endless = True
    process = await i2v.start(*GENERATE)
    await until(b"fragment 0", process)
    process.send_signal(signal.SIGINT)
    ended = await i2v.end(process)
    assert "jobs/7 was cancelled. 0.001500 USD was charged." in ended.err
    assert ended.code == 130
    assert len(rig.script.asked_for(job_pb2.CancelJobRequest)) == 1


async def test_a_second_ctrl_c_leaves_at_once_and_says_that_the_job_goes_on(rig: Rig, i2v: Command) -> None:
    rig.script.endless = rig.script.stubborn = True
    process = await i2v.start(*GENERATE)
    await until(b"fragment 0", process)
    process.send_signal(signal.SIGINT)
    await until(b"Asking jobs/7 to stop", process)
    process.send_signal(signal.SIGINT)
    ended = await i2v.end(process)
    assert "jobs/7 goes on. `i2v watch jobs/7` shows it" in ended.err
    assert ended.code == 130


async def test_ctrl_c_while_watching_leaves_the_job_alone(rig: Rig, i2v: Command) -> None:
    rig.script.endless = True
    process = await i2v.start("watch", "7")
    await until(b"fragment 0", process)
    process.send_signal(signal.SIGINT)
    ended = await i2v.end(process)
    assert "jobs/7 goes on." in ended.err
    assert ended.code == 130
    assert rig.script.asked_for(job_pb2.CancelJobRequest) == []
