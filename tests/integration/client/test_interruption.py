"""The command interrupted: a restart of its server is not visible, and Ctrl-C ends it, in one step or in two."""

import asyncio
import signal

import pytest
from i2v.v1 import job_pb2

from services.errors import Unauthenticated, Unavailable
from services.reasons import AccessReason
from tests.support.client_command import GENERATE, Command
from tests.support.scripted_server import Rig, kept, serving

AWAY = "The server does not answer."


async def until(line: bytes, process: asyncio.subprocess.Process) -> list[str]:
    """Waits for a line that contains `line`. Returns the lines until then, without the time before them."""
    assert process.stderr is not None
    seen = []
    async with asyncio.timeout(90):
        async for each in process.stderr:
            seen.append(each.decode().split(" s  ")[-1].strip())
            if line in each:
                return seen
    raise AssertionError(f"the command never printed {line!r}")


async def test_a_restart_of_the_server_is_not_reported(rig: Rig, i2v: Command) -> None:
    rig.script.endless = True
    process = await i2v.start("watch", "7")
    await until(b"fragment 0", process)
    await rig.server.drain(0)
    rig.script.endless = False
    second = await serving(rig.script, rig.address)
    ended = await i2v.end(process)
    await second.drain(0)
    # On a slow machine the restart may take so long that the outage is mentioned.
    assert [line.split("  ")[-1] for line in ended.err.splitlines() if AWAY not in line] == [
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


async def test_a_second_ctrl_c_ends_immediately_and_says_that_the_job_continues(rig: Rig, i2v: Command) -> None:
    rig.script.endless = rig.script.stubborn = True
    process = await i2v.start(*GENERATE)
    await until(b"fragment 0", process)
    process.send_signal(signal.SIGINT)
    await until(b"Asking jobs/7 to stop", process)
    process.send_signal(signal.SIGINT)
    ended = await i2v.end(process)
    assert "jobs/7 goes on. `i2v watch jobs/7` shows it" in ended.err
    assert ended.code == 130


async def test_a_key_that_is_revoked_while_a_job_runs_ends_the_command_alone(rig: Rig, i2v: Command) -> None:
    rig.script.fail_watch = Unauthenticated("This API key was revoked.", reason=AccessReason.API_KEY_REVOKED)
    ended = await i2v(*GENERATE)
    assert "jobs/7 goes on." in ended.err and "This API key was revoked." in ended.err
    assert ended.code == 6


async def test_ctrl_c_while_watching_does_not_stop_the_job(rig: Rig, i2v: Command) -> None:
    rig.script.endless = True
    process = await i2v.start("watch", "7")
    await until(b"fragment 0", process)
    process.send_signal(signal.SIGINT)
    ended = await i2v.end(process)
    assert "jobs/7 goes on." in ended.err
    assert ended.code == 130
    assert rig.script.asked_for(job_pb2.CancelJobRequest) == []


@pytest.mark.parametrize(
    ("command", "leaves"),
    [
        (("watch", "7"), "Ctrl-C leaves jobs/7 running; `i2v watch jobs/7` shows it again."),
        (("resume", "7"), "Ctrl-C leaves jobs/7 running; `i2v watch jobs/7` shows it again."),
        (GENERATE, "Pressing Ctrl-C twice leaves jobs/7 running; `i2v watch jobs/7` shows it again."),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
async def test_each_outage_of_the_server_is_reported_once(
    rig: Rig, i2v: Command, command: tuple[str, ...], leaves: str
) -> None:
    rig.script.endless = True
    process = await i2v.start(*command)
    await until(b"fragment 0", process)
    await rig.server.drain(0)
    with kept(rig.server.port):
        assert await until(AWAY.encode(), process) == [f"{AWAY} Waiting for it, up to 120 s. {leaves}"]
        rig.script.endless_at = 6
        second = await serving(rig.script, rig.address)
        assert await until(b"finish", process) == ["finish 90%"]
        await second.drain(0)
        assert await until(AWAY.encode(), process) == [f"{AWAY} Waiting for it, up to 120 s. {leaves}"]
        rig.script.endless = False
        third = await serving(rig.script, rig.address)
        ended = await i2v.end(process)
        await third.drain(0)
        assert (ended.code, AWAY in ended.err) == (0, False), ended.err


async def test_a_temporarily_unavailable_server_reports_why(rig: Rig, i2v: Command) -> None:
    message = "The database cannot be reached. Try again."
    rig.script.fail_watch = Unavailable(message, reason="DATABASE_UNAVAILABLE", retry_after_s=0.1)
    process = await i2v.start("watch", "7")
    [message_line] = await until(b"database", process)
    assert message_line.startswith(
        f"The server cannot do this now: {message} Waiting for it, up to 120 s. Ctrl-C leaves"
    )
    rig.script.fail_watch = None
    assert (await i2v.end(process)).code == 0


async def test_one_ctrl_c_in_an_outage_ends_the_command_and_does_not_stop_the_job(rig: Rig, i2v: Command) -> None:
    rig.script.endless = rig.script.stubborn = True
    process = await i2v.start(*GENERATE)
    await until(b"fragment 0", process)
    process.send_signal(signal.SIGINT)
    await until(b"Asking jobs/7 to stop", process)
    await rig.server.drain(0)
    [*_, message_line] = await until(AWAY.encode(), process)
    assert "120 s. Ctrl-C leaves jobs/7 running" in message_line
    process.send_signal(signal.SIGINT)
    ended = await i2v.end(process)
    assert (ended.code, "jobs/7 goes on." in ended.err) == (130, True), ended.err
