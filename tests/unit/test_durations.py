"""The order of the files of tests, and which of them are slow."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.durations import SLOW_S, is_slow, longest_first, mark_slow, measured, table

ROOT = Path(__file__).parents[2]
SECONDS = {"tests/unit/test_a.py": SLOW_S, "tests/contract/test_b.py": SLOW_S + 1}

REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="one" time="2.5"/>
<testcase classname="tests.unit.test_a" name="two" time="1.5"/>
<testcase classname="tests.contract.test_b" name="one" time="9"/>
<testcase classname="tests.unit.test_quick" name="one" time="0.1"/>
</testsuite></testsuites>"""


class Item(SimpleNamespace):
    """What the order and the marks depend on."""

    def __init__(self, nodeid: str) -> None:
        super().__init__(nodeid=nodeid, marks=[])

    def add_marker(self, name: str) -> None:
        self.marks.append(name)


def items(*nodeids: str) -> list[Any]:
    return [Item(nodeid) for nodeid in nodeids]


def test_the_longest_file_is_first_and_the_order_within_files_stays() -> None:
    found = items("tests/unit/new.py::x", *(f"{name}::{test}" for name in SECONDS for test in ("b", "a")))
    longest_first(found, SECONDS)
    assert [each.nodeid for each in found] == [
        "tests/contract/test_b.py::b",
        "tests/contract/test_b.py::a",
        "tests/unit/test_a.py::b",
        "tests/unit/test_a.py::a",
        "tests/unit/new.py::x",
    ]


def test_slow_files_and_all_of_e2e_are_marked() -> None:
    found = items("tests/unit/test_a.py::x", "tests/contract/test_b.py::x", "tests/e2e/test_c.py::x", "tests/new.py::x")
    mark_slow(found, SECONDS)
    assert [each.marks for each in found] == [[], ["slow"], ["slow"], []]
    assert [is_slow(each.nodeid.partition("::")[0], SECONDS) for each in found] == [False, True, True, False]


def test_the_table_has_the_seconds_of_long_files(tmp_path: Path) -> None:
    (report := tmp_path / "tests.xml").write_text(REPORT)
    rows = table([report]).splitlines()[1:]
    assert rows == ['"tests/contract/test_b.py" = 9', '"tests/unit/test_a.py" = 4']


def test_every_file_of_the_table_is_there() -> None:
    assert [name for name in measured() if not (ROOT / name).is_file()] == []
