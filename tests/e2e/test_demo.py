"""`make demo`: it makes a video, and leaves nothing running, however it ends."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.orchestrator.media.probe import find_mark, probe
from tests.support.stack_runs import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def demo() -> Iterator[Stack]:
    running = Stack("demo")
    yield running
    running.end()


def test_the_demo_makes_a_video_says_what_it_cost_and_leaves_nothing_running(demo: Stack) -> None:
    output = demo.read_until("fragment 0 arrived") + demo.read_until("job ")
    # Also without a terminal to show it on.
    assert "starting Triton with its models" in output and "starting PostgreSQL and the orchestrator" in output
    assert demo.process.wait(90) == 0
    assert re.search(r"video +var/demo/cat\.mp4\nsize +224x128, 81 frames, 5\.06 s\ncost +0\.005000 USD\n", output), (
        output
    )
    assert probe(Path("var/demo/cat.mp4")).frames == 81
    assert find_mark(Path("var/demo/cat.mp4"))
    made = [path for path in (Path("var/demo"), *Path("var/demo").rglob("*")) if not path.is_symlink()]
    assert [path for path in made if path.stat().st_mode & 0o077] == []
    assert demo.wait_until_gone() == {}


def test_ctrl_c_cancels_the_job_and_stops_everything(demo: Stack) -> None:
    demo.read_until("fragment 0 arrived")
    os.killpg(demo.process.pid, signal.SIGINT)
    output = demo.read_until("was cancelled")
    assert re.search(r"0\.00[0-4]\d+ USD was charged", output), output
    assert demo.process.wait(90) == 130
    assert demo.wait_until_gone() == {}


def test_a_second_demo_in_the_same_checkout_is_refused_and_does_not_affect_the_first(demo: Stack) -> None:
    demo.read_until("starting Triton with its models")
    second = Stack("demo")
    try:
        output = second.read_until("another `make demo` runs in this checkout")
        assert output.count("\n") == 1, output
        assert second.process.wait(90) == 1
    finally:
        second.end()
    assert demo.process.poll() is None
    demo.process.send_signal(signal.SIGTERM)
    demo.read_until("stopping …")
    assert demo.process.wait(90) == 130
    assert demo.wait_until_gone() == {}


def test_a_killed_demo_leaves_nothing_running(demo: Stack) -> None:
    demo.read_until("is admitted")
    demo.process.kill()
    demo.process.wait()
    assert demo.wait_until_gone() == {}
