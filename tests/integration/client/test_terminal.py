"""The command as a person sees it: on wide and narrow terminals, with hostile texts, in unusual environments."""

import asyncio
import copy
import re
import signal

import pytest
from i2v.v1 import job_pb2

from services.errors import QuotaExceeded
from tests.support.builders import a_violation
from tests.support.client_command import GENERATE, Command, Terminal
from tests.support.scripted_server import OUTPUT, VIDEO, Rig, kept, serving, usd

Job = job_pb2.Job
Event = job_pb2.JobEvent

ERROR = job_pb2.JobError(reason="VENDOR_BUSY", message="The vendor is busy.")
NOTABLE = [
    (
        Event(prompt_written=job_pb2.PromptWritten(prompt="The cat looks up.", warning="A template wrote it.")),
        "looks up",
    ),
    (Event(retrying=job_pb2.Retrying(error=ERROR)), "The vendor is busy. It tries again."),
    (Event(released=job_pb2.Released(provider="fal", reason="VENDOR_BUSY")), "nothing to pay to fal (VENDOR_BUSY)"),
    (Event(rerouted=job_pb2.Rerouted(model="other", before="first", error=ERROR, price=usd(4000))), "other is asked"),
    (Event(reconciling=job_pb2.Reconciling(error=ERROR)), "the outcome at the vendor is unknown: The vendor is busy."),
    (Event(resumed=job_pb2.Resumed()), "fetches the paid video"),
    (Event(warned=job_pb2.Warned(reason="OUTPUT_SILENT", message="The video has no sound.")), "has no sound"),
]
WARNINGS = ["warning: A template wrote it.", "warning: The video has no sound."]


@pytest.fixture
def eventful(rig: Rig) -> Rig:
    """A job with an event of every kind that is shown."""
    steps = [Event(started=job_pb2.Started(attempt=1)), *(copy.copy(event) for event, _ in NOTABLE)]
    steps += [Event(succeeded=job_pb2.Succeeded(output=OUTPUT, charged=usd(5000)))]
    for number, event in enumerate(steps, start=1):
        event.sequence = number
    rig.script.events = steps
    rig.script.job.last_sequence = len(steps)
    return rig


async def on_terminal(i2v: Command, *arguments: str, columns: int = 80, **more: str) -> tuple[int, str, str]:
    """The exit code, the text that a terminal at stderr received, and stdout."""
    terminal = Terminal(columns)
    process = await i2v.start(*arguments, stderr=terminal.slave, TERM="xterm-256color", **more)
    terminal.hand_over()
    seen, (out, _) = await asyncio.gather(terminal.read(), process.communicate())
    assert "Traceback" not in seen, seen
    return process.returncode or 0, seen, out.decode()


def lines_of(seen: str) -> list[str]:
    """The lines on a terminal, without its control codes."""
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip("\r") for line in re.split(r"\r?\n|\r", seen)]


@pytest.mark.parametrize("command", [GENERATE, ("watch", "7"), ("resume", "7")], ids=lambda command: command[0])
async def test_a_terminal_shows_a_bar_and_everything_notable_and_repeats_the_warnings_at_the_end(
    eventful: Rig, i2v: Command, command: tuple[str, ...]
) -> None:
    code, seen, _ = await on_terminal(i2v, *command)
    assert code == 0
    assert "\x1b[" in seen and "━" in seen
    assert [text for _, text in NOTABLE if text not in seen] == []
    assert [line for line in lines_of(seen) if line][-2:] == WARNINGS


async def test_a_terminal_reports_an_outage_once_above_the_bar(rig: Rig, i2v: Command) -> None:
    rig.script.endless = True
    terminal = Terminal(200)
    process = await i2v.start("watch", "7", stderr=terminal.slave, TERM="xterm-256color")
    terminal.hand_over()
    seen = await terminal.until("50%")
    await rig.server.drain(0)
    with kept(rig.server.port):
        seen += await terminal.until("The server does not answer. Waiting for it, up to 120 s. Ctrl-C leaves")
        rig.script.endless = False
        second = await serving(rig.script, rig.address)
    rest, _ = await asyncio.gather(terminal.read(), process.communicate())
    await second.drain(0)
    assert (process.returncode, (seen + rest).count("does not answer")) == (0, 1)


@pytest.mark.parametrize("columns", [20, 40])
async def test_a_narrow_terminal_cuts_no_word_of_a_warning(eventful: Rig, i2v: Command, columns: int) -> None:
    code, seen, _ = await on_terminal(i2v, *GENERATE, columns=columns)
    assert (code, lines_of(seen)[-3:-1]) == (0, WARNINGS)


async def test_without_a_terminal_warnings_are_also_repeated_at_the_end(eventful: Rig, i2v: Command) -> None:
    ended = await i2v(*GENERATE)
    assert (ended.code, ended.err.splitlines()[-2:]) == (0, WARNINGS)
    as_json = await i2v(*GENERATE, "--json")
    assert (as_json.code, as_json.err) == (0, "")


async def test_a_job_that_is_shown_later_has_its_warnings(eventful: Rig, i2v: Command) -> None:
    ended = await i2v("job", "7")
    assert (ended.code, ended.out.splitlines()[-2:]) == (0, WARNINGS)


async def test_a_running_job_is_shown_immediately(eventful: Rig, i2v: Command) -> None:
    eventful.script.events = eventful.script.events[:4]
    eventful.script.endless = True
    eventful.script.job = Job(name="jobs/7", state=Job.RUNNING, last_sequence=4)
    ended = await asyncio.wait_for(i2v("job", "7"), 60)
    assert (ended.code, ended.out.splitlines()[-1]) == (0, WARNINGS[0])


@pytest.mark.parametrize(
    ("columns", "head"),
    [(56, "JOB STATE"), (80, "JOB STATE DONE MODEL PRICE"), (120, "JOB STATE DONE MODEL PRICE CREATED")],
)
async def test_a_list_of_jobs_has_the_columns_for_which_the_terminal_has_room(
    rig: Rig, i2v: Command, columns: int, head: str
) -> None:
    name = "jobs/019ad0a4-0000-7000-8000-000000000007"
    listed = Job(name=name, state=Job.SUCCEEDED, quote=usd(5000), spec=job_pb2.JobSpec(model="nano"))
    listed.create_time.seconds = 1_700_000_000
    rig.script.listed = [listed]
    terminal = Terminal(columns)
    process = await i2v.start("jobs", stdout=terminal.slave)
    terminal.hand_over()
    seen, _ = await asyncio.gather(terminal.read(), process.communicate())
    rows = [line for line in lines_of(seen) if line]
    assert (" ".join(rows[0].split()), rows[1].startswith(f"{name}  SUCCEEDED")) == (head, True)
    assert max(map(len, rows)) <= columns
    assert len((await i2v("jobs")).out.splitlines()[0].split()) == 6


HARM = "a\x1b[2J\x1b]0;b\x07\nstate  SUCCEEDED\x9b31m\u202egnp\u2066"


async def test_nothing_from_elsewhere_reaches_the_terminal_as_a_command_or_a_row(eventful: Rig, i2v: Command) -> None:
    spec = job_pb2.JobSpec(model=HARM, text_to_video=job_pb2.TextToVideo(prompt=HARM))
    error = job_pb2.JobError(reason="X", message=HARM)
    eventful.script.job.MergeFrom(Job(spec=spec, prompt=HARM, stage=HARM, error=error))
    eventful.script.listed = [Job(name="jobs/1", spec=spec)]
    eventful.script.names = HARM
    for event in eventful.script.events:
        if event.HasField("prompt_written"):
            event.prompt_written.prompt = event.prompt_written.warning = HARM
        if event.HasField("warned"):
            event.warned.message = HARM
    eventful.script.events.insert(-1, Event(progressed=job_pb2.Progressed(stage=HARM, progress=0.5)))
    for number, event in enumerate(eventful.script.events, start=1):
        event.sequence = number
    eventful.script.job.last_sequence = len(eventful.script.events)
    commands = [("jobs",), ("job", "7"), ("cancel", "7"), ("models",), ("usage",), ("watch", "7"), GENERATE]
    for command in commands:
        ended = await i2v(*command)
        assert ended.code == 0, ended.err
        printed = ended.out + ended.err
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", printed), (command, printed)
        assert not re.search(r"^state  SUCCEEDED\\x9b", printed, re.MULTILINE), (command, printed)
        assert "\\x1b[2J" in printed, (command, printed)
    eventful.script.fail_submit = [
        QuotaExceeded([a_violation(HARM, subject=HARM)]),
    ]
    refused = await i2v(*GENERATE)
    assert (refused.code, len(refused.err.splitlines()), "\x1b" in refused.err) == (3, 1, False)
    _, seen, _ = await on_terminal(i2v, "watch", "7")
    assert "\x1b[2J" not in seen and "\x1b]0;" not in seen and "\u202e" not in seen
    assert "\\x1b[2J" in seen


# --- odd environments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
async def test_characters_that_the_locale_cannot_encode_are_escaped(eventful: Rig, i2v: Command, encoding: str) -> None:
    eventful.script.job.prompt = "猫"
    ended = await i2v("job", "7", PYTHONIOENCODING=encoding)
    assert (ended.code, ("猫" if encoding == "utf-8" else "\\u732b") in ended.out) == (0, True)
    code, _, _ = await on_terminal(i2v, "watch", "7", PYTHONIOENCODING=encoding)
    assert code == 0


async def test_a_dumb_terminal_gets_lines(eventful: Rig, i2v: Command) -> None:
    terminal = Terminal()
    process = await i2v.start("watch", "7", stderr=terminal.slave, TERM="dumb")
    terminal.hand_over()
    seen, _ = await asyncio.gather(terminal.read(), process.wait())
    assert "\x1b" not in seen
    assert [text for _, text in NOTABLE if text not in seen] == []


async def test_a_reader_that_leaves_ends_a_list_without_an_error(i2v: Command) -> None:
    process = await i2v.start("watch", "7", "--json")
    assert process.stdout is not None and process.stderr is not None
    await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]
    assert b"Traceback" not in await process.stderr.read()
    await process.wait()


async def test_a_key_file_without_text_is_refused(i2v: Command) -> None:
    (i2v.folder / "key").write_bytes(b"\xff\xfe\x00")
    ended = await i2v("--key-file", "key", "jobs")
    assert (ended.code, "That cannot be a key" in ended.err) == (6, True)


async def test_an_empty_key_file_is_named(i2v: Command) -> None:
    (i2v.folder / "key").write_bytes(b"\n")
    ended = await i2v("--key-file", "key", "jobs")
    assert (ended.code, "key is empty" in ended.err) == (6, True)


@pytest.mark.parametrize("server", [" ", "localhost", "127.0.0.1:port", "http://127.0.0.1:50051", "a:1,,b:2", ":1"])
async def test_an_invalid_address_is_a_usage_error_that_shows_the_format(i2v: Command, server: str) -> None:
    ended = await i2v("--server", server, "jobs")
    assert (ended.code, "Invalid value for --server: " in ended.err, "host:port" in ended.err) == (2, True, True)


async def test_ctrl_c_while_nothing_answers_is_130(rig: Rig, i2v: Command) -> None:
    connected = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(hold, "127.0.0.1", 0)
    address = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    process = await i2v.start("--server", address, "jobs")
    await connected.wait()
    process.send_signal(signal.SIGINT)
    ended = await i2v.end(process)
    silent.close()
    assert (ended.code, ended.err) == (130, "Interrupted.\n")


async def test_a_video_is_complete_without_home_and_locale(i2v: Command) -> None:
    ended = await i2v(*GENERATE, HOME="/proc/none", LC_ALL="C", LANG="xx_YY")
    assert (ended.code, (i2v.folder / "cat.mp4").read_bytes()) == (0, VIDEO)
