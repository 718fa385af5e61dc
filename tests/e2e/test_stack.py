"""The front door: `make demo` makes a video and leaves nothing running, however it ends."""

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

from services.orchestrator.media.video import probe

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


class Demo:
    """One run of the demo, whose processes are known by a mark in their environment."""

    def __init__(self) -> None:
        self.mark = f"I2V_TEST_MARK={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.stack", "demo"],
            env=os.environ | {name: value, "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'gen'}"},
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

    def left(self) -> list[str]:
        """Command lines of the processes that it started and that still run."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:120])
            except OSError:
                continue  # it has just ended, or is not ours
        return found

    def wait_until_gone(self) -> list[str]:
        """Gives the last of them a few seconds."""
        deadline = time.monotonic() + 20
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left


@pytest.fixture
def demo() -> Iterator[Demo]:
    running = Demo()
    yield running
    if running.process.poll() is None:
        os.killpg(running.process.pid, signal.SIGKILL)
    running.process.wait()
    assert running.process.stdout is not None
    running.process.stdout.close()


def test_the_demo_makes_a_video_says_what_it_cost_and_leaves_nothing_running(demo: Demo) -> None:
    said = demo.read_until("fragment 0 arrived") + demo.read_until("job ")
    assert demo.process.wait(60) == 0
    assert re.search(r"video +var/demo/cat\.mp4\nsize +224x128, 81 frames, 5\.06 s\ncost +0\.005000 USD\n", said), said
    assert probe(Path("var/demo/cat.mp4")).frames == 81
    assert demo.wait_until_gone() == []


def test_ctrl_c_cancels_the_job_and_stops_everything(demo: Demo) -> None:
    demo.read_until("fragment 0 arrived")
    os.killpg(demo.process.pid, signal.SIGINT)
    said = demo.read_until("was cancelled")
    assert re.search(r"0\.00[0-4]\d+ USD was charged", said), said
    assert demo.process.wait(60) == 130
    assert demo.wait_until_gone() == []


def test_a_killed_demo_takes_everything_with_it(demo: Demo) -> None:
    demo.read_until("is admitted")
    demo.process.kill()
    demo.process.wait()
    assert demo.wait_until_gone() == []
