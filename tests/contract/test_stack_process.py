"""The stack's programs: a long start reports what it waits for, and a failed start ends with the reason."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.stack_process import StackError, StackProcess, free_port


def test_a_slow_start_reports_what_it_waits_for(tmp_path: Path) -> None:
    lines: list[str] = []
    port = free_port()
    never = StackProcess(
        "the sleeper",
        "http.server",  # answers, but has no health service
        *(str(port), "--bind", "127.0.0.1"),
        log=tmp_path / "sleeper.log",
        ports={"sleeper's": port},
        environment={"PYTHONPATH": ":".join(sys.path)},
        ready_within_s=3,
        say=lines.append,
        say_every_s=0,
    )
    with pytest.raises(StackError, match=r"the sleeper was not ready within 3 s: .+\n"), never:
        pass
    assert not never.lives
    assert lines[0].startswith(f"waiting for the sleeper at 127.0.0.1:{port}, ")
    assert str(tmp_path / "sleeper.log") in lines[0]


def test_no_two_processes_choose_the_same_port_while_their_servers_start() -> None:
    mine = {free_port() for _ in range(50)}
    chosen = "import random; random.seed(1); from tools.stack_process import free_port as port; "
    chosen += "print(*[port() for _ in range(50)], flush=True)"
    first = subprocess.Popen(
        [sys.executable, "-c", chosen + "; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    theirs = set(map(int, first.stdout.readline().split()))
    second = subprocess.run([sys.executable, "-W", "error", "-c", chosen], capture_output=True, text=True, check=True)
    assert second.stderr == ""  # at its end it closes what it reserved
    first.communicate("\n")
    assert len(mine) == len(theirs) == 50
    assert not theirs & set(map(int, second.stdout.split()))
    assert not theirs & mine
