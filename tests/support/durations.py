"""The seconds that files of tests take: the slowest begin first, and `make check` leaves them out.

`python -m tests.support.durations REPORT.xml…` writes the table from what `pytest --junitxml` measured.
"""

import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import pytest

TABLE = Path(__file__).parents[1] / "durations.toml"
LEAST_S = 3.0
"""Files that take less are not in the table."""
SLOW_S = 4.0
"""Files that take longer are slow, and all of tests/e2e is."""


def measured() -> dict[str, float]:
    """The seconds of each file in the table."""
    return {name: float(seconds) for name, seconds in tomllib.loads(TABLE.read_text()).items()}


def longest_first(items: list[pytest.Item], seconds: dict[str, float]) -> None:
    """Sorts the files by the time that they take. A long one that begins last would keep one process busy alone."""
    items.sort(key=lambda item: -seconds.get(file_of(item), 0.0))


def is_slow(name: str, seconds: dict[str, float]) -> bool:
    """Whether a file is slow, by its path."""
    return name.startswith("tests/e2e/") or seconds.get(name, 0.0) > SLOW_S


def mark_slow(items: Iterable[pytest.Item], seconds: dict[str, float]) -> None:
    """Gives the tests of slow files the marker `slow`."""
    for item in items:
        if is_slow(file_of(item), seconds):
            item.add_marker("slow")


def file_of(item: pytest.Item) -> str:
    """A test's file, as the table has it."""
    return item.nodeid.partition("::")[0]


def table(reports: Iterable[Path]) -> str:
    """The table's text, from reports in JUnit's format."""
    seconds: Counter[str] = Counter()
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            seconds[case.get("classname", "").replace(".", "/") + ".py"] += float(case.get("time", "0"))  # type: ignore[assignment]
    rows = [f'"{name}" = {total:.0f}\n' for name, total in seconds.most_common() if total >= LEAST_S]
    return "# Seconds of each file, written by tests/support/durations.py.\n" + "".join(rows)


if __name__ == "__main__":
    TABLE.write_text(table(map(Path, sys.argv[1:])))
