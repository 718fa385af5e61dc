"""docs/logs.md against the log calls of the services."""

import re

import pytest

from tools.log_events import PAGE, LogEvent, UnreadableLogCall, events, events_of, with_table

PAGE_TEXT = PAGE.read_text()
FIELDS = dict(re.findall(r"^\| `(\w+)` \| (text|number|true or false) \|", PAGE_TEXT, re.MULTILINE))


@pytest.fixture(scope="module")
def all_events() -> list[LogEvent]:
    return events()


def test_the_table_of_messages_is_that_of_the_source(all_events: list[LogEvent]) -> None:
    assert with_table(PAGE_TEXT) == PAGE_TEXT, "python -m tools.log_events writes it"
    assert len(all_events) > 100


def test_every_field_is_described_and_each_described_one_is_used(all_events: list[LogEvent]) -> None:
    used = {field for event in all_events for field in event.fields}
    messages = PAGE_TEXT.partition("Fields of messages:")[2].partition("## Calls")[0]
    assert used - FIELDS.keys() == set()
    assert set(re.findall(r"^\| `(\w+)`", messages, re.MULTILINE)) - used == set()


def test_every_error_says_what_to_do(all_events: list[LogEvent]) -> None:
    section = PAGE_TEXT.partition("## Errors")[2].partition("## Messages")[0]
    described = re.findall(r"^\| `(.+?)` \| \S", section, re.MULTILINE)
    assert described == sorted({each.message for each in all_events if each.level == "ERROR" and not each.traceback})


def test_one_message_has_one_level(all_events: list[LogEvent]) -> None:
    levels: dict[str, set[str]] = {}
    for each in all_events:
        levels.setdefault(each.message, set()).add(each.level)
    several = {message for message, found in levels.items() if len(found) > 1}
    # Without an unexpected error it is a vendor's file that cannot be marked, and no fault of the program.
    assert several == {"refused", "a vendor's video stays without the pixel mark"}


@pytest.mark.parametrize(
    "call",
    [
        'log.info(f"job {job} ended")',
        'log.info("job %s ended", job)',
        'log.info("job " + job)',
        "log.info(str(error))",
        'log.info("ended", extra=fields_of(job))',
        'log.info("ended", extra={name: 1})',
        'log.info("ended", extra=fields)',
        'log.info("%s")',
    ],
)
def test_a_call_whose_line_cannot_be_known_is_refused(call: str) -> None:
    with pytest.raises(UnreadableLogCall):
        list(events_of(f"def f(job, fields, name, error):\n    {call}\n", "x.py"))


def test_fields_are_found_where_a_function_collects_them() -> None:
    source = (
        'def f(job):\n    known = {"a": 1}\n    log.error("x" if job else "y", extra={**known, "b": 2} | {"c": 3})\n'
    )
    found = list(events_of(source, "x.py"))
    assert [(each.message, each.level, each.fields) for each in found] == [
        ("x", "ERROR", ("a", "b", "c")),
        ("y", "ERROR", ("a", "b", "c")),
    ]
