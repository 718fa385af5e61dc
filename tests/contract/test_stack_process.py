"""The stack's programs: a long start reports what it waits for, and a failed start ends with the reason."""

import sys
from pathlib import Path

import pytest

from tools.stack_process import StackError, StackProcess, free_port


def test_a_start_that_takes_long_says_what_it_waits_for_and_what_it_lacks(tmp_path: Path) -> None:
    said: list[str] = []
    port = free_port()
    never = StackProcess(
        "the sleeper",
        "http.server",  # answers, but has no health service
        *(str(port), "--bind", "127.0.0.1"),
        log=tmp_path / "sleeper.log",
        ports={"sleeper's": port},
        environment={"PYTHONPATH": ":".join(sys.path)},
        ready_within_s=3,
        say=said.append,
        say_every_s=0,
    )
    with pytest.raises(StackError, match=r"the sleeper was not ready within 3 s: .+\n"), never:
        pass
    assert not never.lives
    assert said[0].startswith(f"waiting for the sleeper at 127.0.0.1:{port}, ")
    assert str(tmp_path / "sleeper.log") in said[0]
