"""The output of the command line: every event has a description, and no foreign text can control the terminal."""

import re
import unicodedata
from pathlib import Path

import pytest
from i2v.v1 import job_pb2

from services.client import formatting, limit_lines, limit_text
from services.client.event_descriptions import DESCRIBED, describe
from services.client.terminal import visible, width

KINDS = [field.name for field in job_pb2.JobEvent.DESCRIPTOR.oneofs_by_name["event"].fields]
CLIENT = Path(__file__).resolve().parents[3] / "services/client"


def test_every_kind_of_event_has_a_description_and_no_other_has() -> None:
    assert set(DESCRIBED) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_is_described_even_when_it_is_empty(kind: str) -> None:
    event = job_pb2.JobEvent(sequence=1)
    getattr(event, kind).SetInParent()
    described = describe(event)
    assert described.text and "does not know" not in described.text


def test_an_event_of_a_newer_server_is_described() -> None:
    newer = job_pb2.JobEvent.FromString(job_pb2.JobEvent(sequence=1).SerializeToString() + b"\xfa\x07\x00")
    assert describe(newer).notable
    assert "does not know" in describe(newer).text


def test_a_warning_is_repeated_at_the_end() -> None:
    warned = job_pb2.JobEvent(warned=job_pb2.Warned(reason="OUTPUT_SILENT", message="There is no sound."))
    written = job_pb2.JobEvent(prompt_written=job_pb2.PromptWritten(prompt="It moves.", warning="A template wrote it."))
    assert [describe(each).warning for each in (warned, written)] == ["There is no sound.", "A template wrote it."]


OBEYED = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\rb",
    "a\nb",
    "a\x0bb",
    "a\x85b",
    "a\u2028b",
    "a\u2029b",
    "a\x7fb",
    "a\x00b",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "\u200b",
    "\ufeff",
    "\U000e0041",
    "\udcff",
]


@pytest.mark.parametrize("text", OBEYED, ids=ascii)
def test_control_and_invisible_characters_are_escaped(text: str) -> None:
    shown = visible(text)
    assert "\\" in shown
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert visible(shown) == shown


@pytest.mark.parametrize("text", ["Größe 5 €", "猫が見上げる", "नमस्ते", "👩‍🚀", "می‌خواهم", "a\u00a0b", "C:\\new"])
def test_words_of_any_language_stay_as_they_are(text: str) -> None:
    assert visible(text) == text


def test_columns_are_aligned_for_any_text() -> None:
    lines = formatting.columns([("猫", "x"), ("a\nb", "x"), ("\x1b[1m", "x"), ("long enough", "x")])
    assert len(lines) == 4
    assert len({width(line) for line in lines}) == 1


def test_text_is_written_in_one_place_alone() -> None:
    writes = re.compile(r"click\.s?echo\(|(?<!=)\bprint\(|\.write\(|console\.print\(")
    found = {
        file.name: [line.strip() for line in file.read_text().splitlines() if writes.search(line)]
        for file in CLIENT.glob("*.py")
    }
    assert [
        line for line in found.pop("progress_display.py") if "visible(" not in line
    ] == []  # what rich draws next to its bar
    assert len(found.pop("terminal.py")) == 1
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_a_watched_limit_of_zero_is_none_and_an_absent_one_unlimited() -> None:
    none = job_pb2.LimitStatus(subject="user", measure="jobs", per="day", unit="JOBS", limit=0)
    absent = job_pb2.LimitStatus(subject="user", measure="jobs", per="day", unit="JOBS")
    assert [limit_text.row(each, "USD")[3] for each in (none, absent)] == ["none", "unlimited"]
    assert limit_text.line(none, "USD") == "user jobs day: 0 used, 0 held of none"


def test_a_limit_that_is_nearly_used_up_shows_every_digit() -> None:
    limit = job_pb2.LimitStatus(
        subject="tenant", measure="seconds", per="month", unit=job_pb2.LimitStatus.MILLISECONDS, limit=10_000_000
    )
    limit.used, limit.left = 9_999_999, 1
    [_, row] = limit_lines.lines([limit], asked=False)
    assert "9999.999 s" in row
