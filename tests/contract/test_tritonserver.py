"""The launcher: its error when it cannot start, and that no process outlives it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.triton_fixture import REPOSITORY
from tools.triton_server_error import TritonServerError
from tools.tritonserver import TritonServer


def test_a_start_without_models_reports_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(TritonServerError, match="make models"):
        TritonServer(tmp_path, state=tmp_path / "state").start()


def test_a_failing_model_is_reported_in_a_few_lines(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    repository.mkdir()
    for model in REPOSITORY.iterdir():
        (repository / model.name).symlink_to(model)
    (repository / "profile").unlink()
    (repository / "profile" / "1").mkdir(parents=True)
    for file in ("config.pbtxt", "1/profile.json"):
        (repository / "profile" / file).write_bytes((REPOSITORY / "profile" / file).read_bytes())
    (repository / "profile" / "1" / "model.py").write_text("raise RuntimeError('out of order')\n")
    server = TritonServer(repository, state=tmp_path / "state")
    with pytest.raises(TritonServerError, match=r"failed to load 'profile'.*out of order") as failed:
        server.start()
    assert len(str(failed.value).splitlines()) < 15
    assert not server.running


def test_a_corrupt_graph_is_refused_before_anything_starts(tmp_path: Path) -> None:
    for model in (each for each in REPOSITORY.iterdir() if each.is_dir() and each.name != "text_encoder"):
        (tmp_path / model.name).symlink_to(model)
    shutil.copytree(REPOSITORY / "text_encoder", tmp_path / "text_encoder")
    graph = tmp_path / "text_encoder" / "1" / "model.onnx"
    with graph.open("r+b") as file:
        file.seek(graph.stat().st_size // 2)
        file.write(b"\0\1\2\3")
    with pytest.raises(TritonServerError, match=r"text_encoder/1/model\.onnx is not as it was built"):
        TritonServer(tmp_path, state=tmp_path / "state").start()


def test_a_model_with_a_killed_process_is_named_until_the_server_ends(tmp_path: Path) -> None:
    with TritonServer(REPOSITORY, state=tmp_path / "state") as server:
        assert server.dead_models == []
        [model] = processes_with(str(tmp_path), "/tokenizer/1/model.py")
        os.kill(model, signal.SIGKILL)
        while not server.dead_models:
            time.sleep(0.05)
        assert server.dead_models == ["tokenizer"]
        assert server.running
        [whole] = processes_with(str(tmp_path), "bin/tritonserver\0--model-repository", but="process_supervisor.py")
        os.kill(whole, signal.SIGKILL)
        while server.running:
            assert server.dead_models in (["tokenizer"], [])
        assert server.dead_models == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_launcher(tmp_path: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-m", "tools.tritonserver", "--repository", str(REPOSITORY), "--state", str(tmp_path)]
    with subprocess.Popen(command, cwd=REPOSITORY.parent, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline().startswith("ready:")
        log = launcher.stdout.readline().removeprefix("log: ").strip()
        left = mentioned(tmp_path)
        assert left, "the server must be running"
        launcher.send_signal(how)
    shm = "i2v_" + Path(log).stem.rpartition("-")[2]
    deadline = time.monotonic() + 60
    while mentioned(tmp_path) or list(Path("/dev/shm").glob(f"{shm}*")):
        assert time.monotonic() < deadline, json.dumps(mentioned(tmp_path))
        time.sleep(0.05)


def processes_with(*words: str, but: str = "\n") -> list[int]:
    """Ids of the processes whose command lines have all the words and not the other one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            line = (process / "cmdline").read_bytes().decode(errors="replace")
            if all(word in line for word in words) and but not in line:
                found.append(int(process.name))
    return found


def mentioned(folder: Path) -> list[str]:
    """Command lines of processes that mention a folder, but for this one."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it has just ended
                continue
            if str(folder) in line:
                found.append(line)
    return found
