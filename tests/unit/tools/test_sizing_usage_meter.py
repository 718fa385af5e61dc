"""tools.sizing: what is counted of processes."""

import subprocess
import sys

import pytest

from tools.sizing.footprint import FIELDS, memory_of
from tools.sizing.usage_meter import private_bytes, processor_s, tree

BUSY = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY!r}])\nprint('done', flush=True)\ninput()"


def test_the_time_of_children_that_have_ended_counts() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdin is not None
        assert parent.stdout.readline() == b"done\n"
        assert processor_s(parent.pid) >= 0.2
        assert tree(parent.pid) == [parent.pid]
        parent.stdin.close()


def test_a_process_that_has_ended_uses_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert processor_s(ended.pid) == 0
    assert memory_of(ended.pid) == dict.fromkeys(FIELDS, 0)


def test_memory_that_is_used_is_private() -> None:
    # A process of its own: one that has freed memory may use that.
    steps = (
        "print('ready', flush=True)",
        "input()",
        "kept = bytes(range(256)) * (80 * 1024)",
        "print('done', flush=True)",
        "input()",
    )
    code = "\n".join(steps)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdin is not None
        child.stdout.readline()
        before = private_bytes([child.pid])
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        assert private_bytes([child.pid]) - before == pytest.approx(80 * 1024 * 256, rel=0.2)
        child.stdin.close()
