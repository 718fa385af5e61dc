"""The front door: `make demo` and `make run` leave nothing running, however they end."""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.orchestrator.media.probe import probe
from tests.support.dead_proxies import DEAD
from tests.support.embedded_postgres_processes import server_of
from tools.stack_process import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


class Stack:
    """One run of the demo or the stack, whose processes are known by a mark in their environment."""

    def __init__(self, *arguments: str) -> None:
        self.mark = f"I2V_TEST_MARK={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.stack", *arguments],
            # No program uses a proxy for this machine, whatever the request is.
            env=os.environ | DEAD | {name: value, "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'gen'}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # as a terminal would give it: a process group that Ctrl-C reaches as a whole
        )

    def read_until(self, wanted: str) -> str:
        """Reads lines until one holds the text."""
        assert self.process.stdout is not None
        seen = ""
        for line in self.process.stdout:
            seen += line
            if wanted in line:
                return seen
        raise AssertionError(f"{wanted!r} never came:\n{seen}")

    def left(self) -> dict[int, str]:
        """Command lines of the processes that it started and that still run."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:300]
            except OSError:
                continue  # it has just ended, or is not ours
        return found

    def wait_until_gone(self) -> dict[int, str]:
        """Gives the last of them a few seconds."""
        deadline = time.monotonic() + 90
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def demo() -> Iterator[Stack]:
    running = Stack("demo")
    yield running
    running.end()


class Kept:
    """Runs of the stack on the same folder and ports."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port, self.metrics_port = free_port(), free_port()
        self.runs: list[Stack] = []

    def start(self, *options: str) -> Stack:
        ports = ("--port", str(self.port), "--metrics-port", str(self.metrics_port))
        self.runs.append(Stack("run", "--data", str(self.data), *ports, *options))
        return self.runs[-1]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    runs = Kept(tmp_path)
    yield runs
    for each in runs.runs:
        each.end()
        each.wait_until_gone()


def test_the_demo_makes_a_video_says_what_it_cost_and_leaves_nothing_running(demo: Stack) -> None:
    said = demo.read_until("fragment 0 arrived") + demo.read_until("job ")
    # Also without a terminal to show it on.
    assert "starting Triton with its models" in said and "starting PostgreSQL and the orchestrator" in said
    assert demo.process.wait(90) == 0
    assert re.search(r"video +var/demo/cat\.mp4\nsize +224x128, 81 frames, 5\.06 s\ncost +0\.005000 USD\n", said), said
    assert probe(Path("var/demo/cat.mp4")).frames == 81
    made = [path for path in (Path("var/demo"), *Path("var/demo").rglob("*")) if not path.is_symlink()]
    assert [path for path in made if path.stat().st_mode & 0o077] == []
    assert demo.wait_until_gone() == {}


def test_ctrl_c_cancels_the_job_and_stops_everything(demo: Stack) -> None:
    demo.read_until("fragment 0 arrived")
    os.killpg(demo.process.pid, signal.SIGINT)
    said = demo.read_until("was cancelled")
    assert re.search(r"0\.00[0-4]\d+ USD was charged", said), said
    assert demo.process.wait(90) == 130
    assert demo.wait_until_gone() == {}


def test_a_second_demo_in_the_same_checkout_is_refused_and_leaves_the_first_alone(demo: Stack) -> None:
    demo.read_until("starting Triton with its models")
    second = Stack("demo")
    try:
        said = second.read_until("another `make demo` runs in this checkout")
        assert said.count("\n") == 1, said
        assert second.process.wait(90) == 1
    finally:
        second.end()
    assert demo.process.poll() is None
    demo.process.send_signal(signal.SIGTERM)
    demo.read_until("stopping …")
    assert demo.process.wait(90) == 130
    assert demo.wait_until_gone() == {}


def test_a_killed_demo_takes_everything_with_it(demo: Stack) -> None:
    demo.read_until("is admitted")
    demo.process.kill()
    demo.process.wait()
    assert demo.wait_until_gone() == {}


PARTS = {
    "services.orchestrator all": "the orchestrator has died",
    "tritonserver --model-repository": "Triton has died",
    "transformer/1/model.py": "the process of Triton's model transformer has died",
}


@pytest.mark.parametrize("which", PARTS)
def test_when_a_part_is_killed_everything_stops_and_a_second_run_is_as_if_nothing_had_been(
    kept: Kept, which: str
) -> None:
    first = kept.start()
    first.read_until("Ctrl-C stops everything")
    [killed] = [
        pid for pid, command in first.left().items() if which in command and "process_supervisor.py" not in command
    ]
    os.kill(killed, signal.SIGKILL)
    said = first.read_until("has died; everything is stopped") + first.read_until("the whole log: ")
    assert PARTS[which] in said, said
    assert first.process.wait(90) == 1
    assert first.wait_until_gone() == {}
    second = kept.start()
    second.read_until("Ctrl-C stops everything")
    second.process.send_signal(signal.SIGINT)
    assert second.process.wait(90) == 0
    assert second.wait_until_gone() == {}
    assert not (kept.data / "postgres" / "postmaster.pid").exists()


def test_a_postgresql_that_is_killed_is_started_again_and_a_job_goes_on(kept: Kept, tmp_path: Path) -> None:
    running = kept.start()
    running.read_until("Ctrl-C stops everything")
    command = [sys.executable, "-m", "services.client.cli", "--server", f"127.0.0.1:{kept.port}"]
    command += ["--key-file", str(kept.data / "dev-key"), "generate", "--image", "tests/golden/cat.png"]
    command += ["--prompt", "slow pan up", "--out", str(tmp_path / "cat.mp4")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
        assert client.stdout is not None
        said = ""
        while "fragment 0 arrived" not in said:
            line = client.stdout.readline()
            assert line, said
            said += line
        killed = server_of(kept.data / "postgres")
        os.kill(killed, signal.SIGKILL)
        said += client.stdout.read()
    assert client.returncode == 0, said
    assert probe(tmp_path / "cat.mp4").frames == 81
    assert server_of(kept.data / "postgres") != killed
    assert "the embedded PostgreSQL had ended and was started again" in (kept.data / "orchestrator.log").read_text()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(90) == 0
    assert running.wait_until_gone() == {}
    assert not (kept.data / "postgres" / "postmaster.pid").exists()


def test_a_second_run_beside_the_first_is_refused_and_leaves_it_alone(kept: Kept) -> None:
    first = kept.start()
    first.read_until("Ctrl-C stops everything")
    log = kept.data / "orchestrator.log"
    before = log.stat()
    second = kept.start()
    said = second.read_until("--metrics-port")
    assert f"the gRPC port 127.0.0.1:{kept.port} cannot be had: Address already in use" in said
    assert second.process.wait(90) == 1
    assert (log.stat().st_ino, log.stat().st_size >= before.st_size) == (before.st_ino, True)
    kept.port, kept.metrics_port = free_port(), free_port()
    third = kept.start()
    assert f"another `make run` uses the folder {kept.data}" in third.read_until("--data")
    assert third.process.wait(90) == 1
    first.process.send_signal(signal.SIGTERM)
    first.read_until("stopping …")
    assert first.process.wait(90) == 0
    assert first.wait_until_gone() == {}


def test_a_run_whose_folder_is_removed_stops(kept: Kept) -> None:
    kept.data /= "data"
    running = kept.start()
    running.read_until("Ctrl-C stops everything")
    kept.data.rename(kept.data.with_name("removed"))
    running.read_until(f"the folder {kept.data} was removed; everything is stopped")
    assert running.process.wait(90) == 1
    assert running.wait_until_gone() == {}


@pytest.mark.parametrize("which", ["services.providers wavespeed", "services.providers.prompt", "tools.simulators.fal"])
def test_the_programs_of_simulated_vendors_end_with_the_stack_and_the_stack_with_them(kept: Kept, which: str) -> None:
    running = kept.start("--simulate")
    said = running.read_until("Ctrl-C stops everything")
    assert "wavespeed, fal: SIMULATED" in said and "Remote models are SIMULATED" in said, said
    [killed] = [
        pid for pid, command in running.left().items() if which in command and "process_supervisor.py" not in command
    ]
    os.kill(killed, signal.SIGKILL)
    running.read_until("has died; everything is stopped")
    assert running.process.wait(30) == 1
    assert running.wait_until_gone() == {}
