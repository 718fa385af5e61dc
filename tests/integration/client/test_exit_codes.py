"""How the command line ends, before a scripted server: its exit codes, and what it says with each."""

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from i2v.v1 import job_pb2

from i2v_client.errors import Unreachable
from i2v_client.failure import Failure
from services.client import error_messages
from services.errors import InvalidSpec, Unavailable, Violation
from services.errors import QuotaExceeded as TooMuch
from services.reasons import SpecReason
from tests.support.builders import a_violation
from tests.support.client_command import GENERATE, Command
from tests.support.scripted_server import KEY, Rig, usd

Job = job_pb2.Job


async def test_invalid_input_is_3_and_names_the_option_the_limit_and_the_way_out(rig: Rig, i2v: Command) -> None:
    broken = Violation("spec.duration", "is 60 s; the model makes 1 to 5 s", SpecReason.DURATION_UNSUPPORTED)
    rig.script.fail_submit = [InvalidSpec([broken], reason=SpecReason.DURATION_UNSUPPORTED)]
    ended = await i2v(*GENERATE)
    assert (ended.code, ended.err) == (3, "--duration: is 60 s; the model makes 1 to 5 s\n")


async def test_a_preview_of_what_would_be_refused_is_3_and_says_everything(i2v: Command) -> None:
    ended = await i2v("preview", "--prompt", "A wave.", "--duration", "60")
    assert (ended.code, ended.err) == (3, "")
    lines = ended.out.splitlines()
    assert lines[:4] == [
        "The job would be refused.",
        "",
        "--duration: is 60 s; the model makes 1 to 5 s",
        "The user's budget has too little left.",
    ]
    assert (await i2v("preview", "--prompt", "A wave.", "--duration", "60", "--json")).code == 3


async def test_generate_hands_on_the_quote_of_a_preview(rig: Rig, i2v: Command) -> None:
    await i2v(*GENERATE, "--detach", "--quote", "QUOTE")
    assert rig.script.asked[-1].quote_token == "QUOTE"


async def test_a_reached_limit_is_3_and_says_when_to_come_back(rig: Rig, i2v: Command) -> None:
    in_a_day = datetime.now(UTC) + timedelta(days=1, seconds=30)
    violation = a_violation("The budget is spent.", resets_at=in_a_day)
    spent = TooMuch([violation], retry_time=in_a_day)
    rig.script.fail_submit = [spent]
    ended = await i2v(*GENERATE)
    assert ended.code == 3
    assert ended.err.startswith("The budget is spent.\nTry again in 1 d 0:00:")


async def test_each_limit_that_refuses_is_on_a_line_of_its_own_and_in_the_json(rig: Rig, i2v: Command) -> None:
    full = a_violation("The tenant has 3 unfinished jobs.", subject="tenant", measure="unfinished")
    rig.script.fail_submit = [TooMuch([a_violation("The budget is spent."), full])] * 2
    ended = await i2v(*GENERATE)
    assert (ended.code, ended.err) == (3, "The budget is spent.\nThe tenant has 3 unfinished jobs.\n")
    ended = await i2v(*GENERATE, "--json")
    limits = json.loads(ended.err)["error"]["limits"]
    assert [(each["subject"], each["measure"], each["limit"], each["used"]) for each in limits] == [
        ("user", "spend", 1, 1),
        ("tenant", "unfinished", 1, 1),
    ]


async def test_a_job_that_fails_is_4_and_says_what_was_charged(rig: Rig, i2v: Command) -> None:
    error = job_pb2.JobError(reason="BACKEND_UNKNOWN", message="No worker answered.", retryable=True)
    rig.script.events[-1] = job_pb2.JobEvent(sequence=6, failed=job_pb2.Failed(error=error, charged=usd(0)))
    rig.script.job = Job(name="jobs/7", state=Job.FAILED, error=error, charged=usd(0), last_sequence=6)
    ended = await i2v(*GENERATE)
    assert (ended.code, ended.out) == (4, "")
    assert "jobs/7 failed: No worker answered. (BACKEND_UNKNOWN)\n0.000000 USD was charged." in ended.err
    assert not (i2v.folder / "cat.mp4").exists()


@pytest.mark.parametrize(
    ("typed", "options", "hint"),
    [
        ("bin/i2v", (), "bin/i2v resume jobs/7"),
        ("i2v", (), "i2v resume jobs/7"),
        (
            "bin/i2v",
            ("--server", "localhost:{port}", "--user", "Ann Lee", "--key-file", "key"),
            "bin/i2v --server localhost:{port} --user 'Ann Lee' --key-file key resume jobs/7",
        ),
    ],
    ids=["path", "name", "options"],
)
async def test_a_hint_can_be_copied(rig: Rig, i2v: Command, typed: str, options: tuple[str, ...], hint: str) -> None:
    error = job_pb2.JobError(reason="OUTPUT_UNAVAILABLE", message="It did not come.", resumable=True)
    rig.script.events[-1] = job_pb2.JobEvent(sequence=6, failed=job_pb2.Failed(error=error, charged=usd(1)))
    rig.script.job = Job(name="jobs/7", state=Job.FAILED, error=error, charged=usd(1), last_sequence=6)
    (i2v.folder / "key").write_text(KEY)
    i2v.script()
    i2v.program = (typed,)
    found = os.pathsep.join([str(i2v.folder / "bin"), os.environ["PATH"]]) if typed == "i2v" else os.environ["PATH"]
    given = [each.format(port=rig.server.port) for each in options]
    ended = await i2v(*given, "watch", "7", PATH=found)
    assert f"`{hint.format(port=rig.server.port)}` costs nothing again" in ended.out, ended


async def test_no_server_is_5(rig: Rig, i2v: Command) -> None:
    await rig.server.drain(0)
    ended = await i2v("jobs")
    assert ended.code == 5
    assert f"The server at {rig.address} cannot be reached: Connection refused." in ended.err


async def test_a_server_that_gives_its_own_reason_is_not_called_unreachable(rig: Rig, i2v: Command) -> None:
    message = "The database cannot be reached. Try again."
    rig.script.fail_submit = [Unavailable(message, reason="DATABASE_UNAVAILABLE", retry_after_s=60)]
    ended = await i2v(*GENERATE)
    assert (ended.code, ended.err) == (5, f"The server at {rig.address} cannot do this now: {message}\n")


NO_NAME = "Domain name not found."


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("failed to connect; last error: UNKNOWN: ipv4:127.0.0.1:1: Connection refused", "Connection refused."),
        ("last error: UNKNOWN: SSL_ERROR_SSL: self signed certificate: OK", "self signed certificate."),
        ("errors resolving a: [field:hostname lookup error:lookup failed for a: Domain name not found]", NO_NAME),
        ("errors resolving tls: [field:hostname lookup error:lookup failed for tls: Domain name not found]", NO_NAME),
        ("errors resolving a: [field:hostname lookup error:a: Misformatted domain name]", "Misformatted domain name."),
    ],
)
def test_of_a_lost_connection_only_the_cause_is_shown(said: str, shown: str) -> None:
    error = Unreachable(Failure(grpc.StatusCode.UNAVAILABLE, said))
    cause, way_out = error_messages.lines(error, "far:1")
    assert cause == f"The server at far:1 cannot be reached: {shown}"
    assert ("TLS failed." in way_out, "Is it running?" in way_out) == ("SSL" in said, "SSL" not in said)


async def test_what_is_not_there_is_6_and_so_is_a_key_that_is_none(i2v: Command) -> None:
    missing, unknown, none, odd = await asyncio.gather(
        i2v("job", "jobs/8"), i2v("jobs", key="bad-key"), i2v("jobs", key=None), i2v("jobs", key="ключ")
    )
    assert (missing.code, unknown.code, none.code, odd.code) == (6, 6, 6, 6)
    assert "That cannot be a key" in odd.err
    assert "There is no job 'jobs/8'" in missing.err
    assert "I2V_KEY" in unknown.err
    assert "bad-key" not in unknown.err
    assert "There is no API key." in none.err
    assert "`make run` writes one to var/dev-key; run this command in the folder that holds var." in none.err


async def test_the_key_may_come_from_the_file_that_development_makes(i2v: Command) -> None:
    (i2v.folder / "var").mkdir()
    (i2v.folder / "var" / "dev-key").write_text(KEY + "\n")
    assert (await i2v("jobs", key=None)).code == 0
