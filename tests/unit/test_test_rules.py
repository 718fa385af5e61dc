"""Rules for tests: they inject instead of patching our modules, and wait for events instead of for a time."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("services", "tools", "i2v")
LONG_S = 0.1

SLEEPS = {
    "tests/e2e/test_nano.py": "nothing must happen in Triton after a cancel, and no event reports it",
    "tests/integration/jobs/test_crash.py": "the database is away for a time; a late worker must write nothing",
    "tests/integration/remote/test_vendor_accounts.py": "a job must stay in the queue",
}
"""Files with a fixed sleep, and why nothing can be awaited there."""


def imported(tree: ast.AST) -> set[str]:
    """Names that a file binds to modules, classes and functions of ours."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.asname or "" for alias in node.names if alias.name.split(".")[0] in OURS}
    return names


def root(node: ast.AST) -> str:
    """The name at the left of a dotted one, or the first word of a string of one."""
    while isinstance(node, ast.Attribute):
        node = node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return "a string" if node.value.split(".")[0] in OURS else ""
    return node.id if isinstance(node, ast.Name) else ""


def patches(tree: ast.AST) -> list[int]:
    """Lines that change an attribute of something of ours that was imported."""
    ours, found = imported(tree) | {"a string"}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and root(node.args[0]) in ours:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else root(node.func)
            if called in ("setattr", "delattr", "patch", "object"):
                found.append(node.lineno)
        targets = node.targets if isinstance(node, ast.Assign) else []
        found += [node.lineno for each in targets if isinstance(each, ast.Attribute) and root(each) in ours]
    return found


def outside_of_loops(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes outside loops: a sleep within a loop is between two checks."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.While | ast.For | ast.AsyncFor):
            yield child
            yield from outside_of_loops(child)


def sleeps(tree: ast.AST) -> list[int]:
    """Lines that sleep for a fixed time, without checking for an event."""
    return [
        node.lineno
        for node in outside_of_loops(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (root(node.func), node.func.attr) in (("time", "sleep"), ("asyncio", "sleep"))
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value > LONG_S
    ]


def found_in_tests(rule: object) -> dict[str, list[int]]:
    assert callable(rule)
    files = sorted((ROOT / "tests").rglob("*.py"))
    assert len(files) > 100
    found = {str(path.relative_to(ROOT)): rule(ast.parse(path.read_text())) for path in files}
    return {name: lines for name, lines in found.items() if lines}


def test_no_module_of_ours_is_patched() -> None:
    assert found_in_tests(patches) == {}, "inject it: a constructor argument with the constant as its default"


def test_nothing_waits_for_a_fixed_time() -> None:
    found = found_in_tests(sleeps)
    assert {name: lines for name, lines in found.items() if name not in SLEEPS} == {}, (
        "await an event, or check in a loop"
    )
    assert set(SLEEPS) <= set(found), "the reason is for a sleep that is gone"


@pytest.mark.parametrize(
    "code",
    [
        "from services import x\nmonkeypatch.setattr(x, 'LOOK_S', 1)",
        "from services.x import Y\nmonkeypatch.setattr(Y, 'wait', None)",
        "from services import x as those\nmonkeypatch.delattr(those.z, 'LOOK_S')",
        "monkeypatch.setattr('tools.x.LOOK_S', 1)",
        "from services import x\nx.LOOK_S = 1",
        "from services import x\nsetattr(x, 'LOOK_S', 1)",
        "from unittest import mock\nfrom services import x\nmock.patch.object(x, 'LOOK_S')",
        "mock.patch('services.x.LOOK_S', 1)",
    ],
)
def test_a_patch_is_seen(code: str) -> None:
    assert len(patches(ast.parse(code))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "import socket\nmonkeypatch.setattr(socket, 'getaddrinfo', 1)",
        "monkeypatch.setenv('I2V_DATA', 'x')",
        "from services.x import Y\ny = Y()\ny.z = 1",
    ],
)
def test_what_is_not_of_ours_may_be_patched(code: str) -> None:
    assert patches(ast.parse(code)) == []


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("await asyncio.sleep(2)", 1),
        ("time.sleep(0.5)", 1),
        ("async with x:\n    await asyncio.sleep(2)", 1),
        ("while not done():\n    time.sleep(0.5)", 0),
        ("await asyncio.sleep(0)", 0),
        ("await asyncio.sleep(pause_s)", 0),
    ],
)
def test_a_fixed_sleep_is_seen(code: str, count: int) -> None:
    assert len(sleeps(ast.parse(code))) == count
