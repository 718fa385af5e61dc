"""The scratch folder of a process is removed after the process has ended, and never before."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.scratch_folder import Scratch, sweep_unlocked

LIVING = """
import sys
from pathlib import Path
from services.scratch_folder import Scratch
scratch = Scratch(Path(sys.argv[1]))
(scratch.path / "work").mkdir()
(scratch.path / "work" / "file").write_bytes(b"bytes")
print(scratch.path, flush=True)
sys.stdin.read()
"""


@contextmanager
def another(parent: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """Another process with a folder there that is not empty."""
    with subprocess.Popen(
        [sys.executable, "-c", LIVING, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path.cwd())},
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="services.scratch_folder")
    own = Scratch(tmp_path)
    (own.path / "work").mkdir()
    with another(tmp_path) as (_, living), another(tmp_path) as (killed, left):
        own.sweep()
        assert (left / "work" / "file").exists()
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        own.sweep()
        assert not left.exists()
        assert (living / "work" / "file").exists()
        assert (own.path / "work").exists()
    (swept,) = caplog.records
    assert (swept.message, vars(swept)["folders"]) == ("removed files of ended processes", 1)
    own.close()
    assert not own.path.exists()


def test_two_of_one_process_leave_each_other_alone(tmp_path: Path) -> None:
    first, second = Scratch(tmp_path), Scratch(tmp_path)
    first.sweep()
    second.sweep()
    assert first.path.exists() and second.path.exists()
    first.close()
    second.close()


def test_a_process_that_was_killed_while_it_made_its_folder_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "process-unlocked").mkdir()
    own = Scratch(tmp_path)
    assert own.sweep() == 1
    assert not (tmp_path / "process-unlocked").exists()
    assert own.sweep() == 0
    own.close()


def test_a_folder_without_a_lock_is_swept_only_when_nothing_has_changed_for_long(tmp_path: Path) -> None:
    for name in ("attempt-new", "attempt-old", "attempt-in-use", "kept"):
        (tmp_path / "tenants" / name).mkdir(parents=True)
        (tmp_path / "tenants" / name / "file").write_bytes(b"bytes")
    for name in ("attempt-old", "attempt-in-use", "kept"):
        for path in (tmp_path / "tenants" / name / "file", tmp_path / "tenants" / name):
            os.utime(path, (1.0, 1.0))
    os.utime(tmp_path / "tenants" / "attempt-in-use" / "file")
    assert sweep_unlocked(tmp_path, "attempt-") == 0
    assert (tmp_path / "tenants" / "attempt-old").exists(), "it was not asked to look below"
    assert sweep_unlocked(tmp_path, "attempt-", deep=True) == 1
    assert sorted(path.name for path in (tmp_path / "tenants").iterdir()) == ["attempt-in-use", "attempt-new", "kept"]
