"""What a process does at its start and its end, each in a child of its own."""

import json
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAD = """
import asyncio, errno, os, signal, sys
from contextlib import asynccontextmanager
from services import grpc_verbosity
from services.process import run_process
from services.settings import BadSetting, ProcessSettings

class Settings(ProcessSettings):
    pass

class Expected(Exception):
    pass

def stop():
    os.kill(os.getpid(), signal.SIGTERM)

@asynccontextmanager
async def open_app(settings, *, readiness):
    print(type(asyncio.get_running_loop()).__module__, "opened", flush=True)
    try:
        {start}
        yield "app"
    finally:
        print("closed", flush=True)

async def lost(app):
    {lost}

def read():
    {read}
    return Settings()

def reload(app):
    print(app, "reloads", flush=True)
    stop()

sys.exit(run_process("sample", read, open_app, ended=lost, reload={reload}, expected=(Expected,), quiet=("noisy",)))
"""


def run(
    start: str = "pass", lost: str = "await asyncio.sleep(60)", read: str = "pass", reload: str = "None"
) -> tuple[int, str, str]:
    """Returns the exit code and what the child wrote to stdout and to stderr."""
    code = HEAD.format(start=start, lost=lost, read=read, reload=reload)
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    child = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    return child.returncode, child.stdout, child.stderr


def test_a_process_runs_on_uvloop_until_a_stop_signal_and_then_closes_the_app() -> None:
    assert run(lost="stop(); await asyncio.sleep(60)") == (0, "uvloop opened\nclosed\n", "")


def test_a_stop_signal_ends_a_start_that_waits() -> None:
    assert run(start="stop(); await asyncio.sleep(60)") == (0, "uvloop opened\nclosed\n", "")


HANG_UP = "os.kill(os.getpid(), signal.SIGHUP)"


def test_at_sighup_a_process_reloads_and_a_running_start_continues() -> None:
    ended = run(start=HANG_UP, lost=f"{HANG_UP}; await asyncio.sleep(60)", reload="reload")
    # Once for the signal during the start, which may have read the files already, and once for the one after it.
    assert ended == (0, "uvloop opened\napp reloads\napp reloads\nclosed\n", "")


def test_a_sighup_at_the_moment_when_the_start_ends_is_not_lost() -> None:
    soon = f"asyncio.get_running_loop().call_soon(lambda: {HANG_UP})"
    assert run(start=soon, reload="reload") == (0, "uvloop opened\napp reloads\nclosed\n", "")


def test_sighup_ends_a_process_that_cannot_reload() -> None:
    assert run(lost=f"{HANG_UP}; await asyncio.sleep(60)")[0] == -signal.SIGHUP


def test_an_unusable_setting_is_one_line() -> None:
    assert run(read="raise BadSetting('there is no setting X')") == (1, "", "sample: there is no setting X\n")


def test_an_expected_error_of_the_start_is_one_line() -> None:
    assert run(start="raise Expected('taken')") == (1, "uvloop opened\nclosed\n", "sample: taken\n")


def test_an_expected_error_of_a_running_app_closes_it_first() -> None:
    assert run(lost="raise Expected('lost')") == (1, "uvloop opened\nclosed\n", "sample: lost\n")


def test_a_shortage_of_resources_is_one_line() -> None:
    code, _, errors = run(start="raise OSError(errno.EMFILE, 'too many files')")
    assert (code, errors.count("\n")) == (1, 1)
    assert errors.startswith("sample: this machine has too few resources for a start: ")


def test_an_unexpected_error_is_one_line_with_its_traceback_and_without_secrets() -> None:
    code, _, errors = run(start="raise RuntimeError('broken: postgresql://i2v:hunter2@db')")
    line = json.loads(errors)
    assert (code, line["level"]) == (1, "CRITICAL")
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert line["exception"].endswith("RuntimeError: broken: postgresql://i2v:[redacted]@db")


def test_an_unexpected_error_of_a_thread_is_one_line() -> None:
    broken = "t = __import__('threading').Thread(target=int, args=['x']); t.start(); t.join(); stop()"
    code, _, errors = run(lost=f"{broken}; await asyncio.sleep(60)")
    assert (code, json.loads(errors)["message"]) == (0, "an unexpected failure ended a thread")
