"""What displays show of a job that waits."""

import io

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.v1 import job_pb2
from rich.console import Console

from services.client import formatting
from services.client.progress_display import Bar, JsonLines, Lines

WAITS = job_pb2.Heartbeat(
    queue_place=3,
    expected_start_time=Timestamp(seconds=1_796_000_000),
    expected_end_time=Timestamp(seconds=1_796_000_060),
)


def test_a_wait_is_a_line_of_place_and_times() -> None:
    line = "place 3 in the queue, starts about 2026-11-30 00:53:20Z, ends about 2026-11-30 00:54:20Z"
    assert formatting.wait(WAITS) == line
    assert formatting.wait(job_pb2.Heartbeat(queue_place=1)) == "place 1 in the queue"


def test_lines_show_a_wait_when_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines() as shown:
        for heartbeat in (job_pb2.Heartbeat(), WAITS, WAITS, job_pb2.Heartbeat(queue_place=2), job_pb2.Heartbeat()):
            shown.heartbeat(heartbeat)
    assert [line.partition(" s  ")[2][:22] for line in capsys.readouterr().err.splitlines()] == [
        "place 3 in the queue, ",
        "place 2 in the queue",
    ]


def test_a_bar_shows_the_place_and_once_the_times() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Bar(console) as shown:
        for place in (3, 2):
            shown.heartbeat(job_pb2.Heartbeat(queue_place=place, expected_start_time=WAITS.expected_start_time))
    assert isinstance(console.file, io.StringIO)
    written = console.file.getvalue()
    assert written.count("starts about") == 1 and "place 2 in the queue" in written


def test_lines_for_programs_are_events_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with JsonLines() as shown:
        shown.heartbeat(WAITS)
    assert capsys.readouterr() == ("", "")
