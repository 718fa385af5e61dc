"""The liveness probe of a Triton's pod, on a real Triton: it notices a model whose process has died."""

import os
import runpy
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.overlays import K8S
from tests.support.triton_fixture import REPOSITORY
from tools.tritonserver import TritonServer

PROBE = runpy.run_path(str(K8S / "components/triton-hooks/models_alive.py"))

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TritonServer]:
    with TritonServer(REPOSITORY, state=tmp_path / "triton") as running:
        yield running


def of_server(tmp_path: Path, name: str) -> Path:
    """A folder like /proc with the processes of this server alone: other tests have Tritons too."""
    folder = tmp_path / name
    folder.mkdir()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(tmp_path / "triton") in (entry / "cmdline").read_text():
                (folder / entry.name).symlink_to(entry)
        except OSError:
            continue
    return folder


def test_a_model_whose_process_has_died_fails_the_probe(
    server: TritonServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    address = f"http://{server.http_address}"
    before = of_server(tmp_path, "before")
    assert PROBE["main"](address, before) == 0
    [tokenizer] = [entry for entry in before.iterdir() if "/tokenizer/" in (entry / "cmdline").read_text()]
    os.kill(int(tokenizer.name), signal.SIGKILL)
    after = of_server(tmp_path, "after")
    while (after / tokenizer.name).exists() and (after / tokenizer.name / "cmdline").read_bytes():
        pass
    assert PROBE["main"](address, after) == 1
    assert capfd.readouterr().err == "The process of the model tokenizer has died.\n"


def test_a_triton_that_does_not_answer_fails_the_probe(capfd: pytest.CaptureFixture[str]) -> None:
    assert PROBE["main"]("http://127.0.0.1:9", Path("/proc")) == 1
    assert "Triton does not answer" in capfd.readouterr().err
