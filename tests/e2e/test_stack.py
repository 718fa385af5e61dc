"""`make run` leaves nothing running, however it ends, and reports which process has ended."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from services.orchestrator.media.probe import probe
from tests.support.embedded_postgres_processes import server_of
from tests.support.stack_runs import Kept
from tools.stack_process import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


PARTS = {
    "services.orchestrator all": "the orchestrator has died",
    "tritonserver --model-repository": "Triton has died",
    "transformer/1/model.py": "the process of Triton's model transformer has died",
}


@pytest.mark.parametrize("which", PARTS)
def test_when_a_process_is_killed_everything_stops_and_a_second_run_works(kept: Kept, which: str) -> None:
    first = kept.start()
    first.read_until("Ctrl-C stops everything")
    [killed] = [
        pid for pid, command in first.left().items() if which in command and "process_supervisor.py" not in command
    ]
    os.kill(killed, signal.SIGKILL)
    output = first.read_until("has died; everything is stopped") + first.read_until("the whole log: ")
    assert PARTS[which] in output, output
    assert first.process.wait(90) == 1
    assert first.wait_until_gone() == {}
    second = kept.start()
    second.read_until("Ctrl-C stops everything")
    second.process.send_signal(signal.SIGINT)
    assert second.process.wait(90) == 0
    assert second.wait_until_gone() == {}
    assert not (kept.data / "postgres" / "postmaster.pid").exists()


def test_a_killed_postgresql_is_restarted_and_a_job_continues(kept: Kept, tmp_path: Path) -> None:
    running = kept.start()
    running.read_until("Ctrl-C stops everything")
    command = [sys.executable, "-m", "services.client.cli", "--server", f"127.0.0.1:{kept.port}"]
    command += ["--key-file", str(kept.data / "dev-key"), "generate", "--image", "tests/golden/cat.png"]
    command += ["--prompt", "slow pan up", "--out", str(tmp_path / "cat.mp4")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
        assert client.stdout is not None
        output = ""
        while "fragment 0 arrived" not in output:
            line = client.stdout.readline()
            assert line, output
            output += line
        killed = server_of(kept.data / "postgres")
        os.kill(killed, signal.SIGKILL)
        output += client.stdout.read()
    assert client.returncode == 0, output
    assert probe(tmp_path / "cat.mp4").frames == 81
    assert server_of(kept.data / "postgres") != killed
    assert "the embedded PostgreSQL had ended and was started again" in (kept.data / "orchestrator.log").read_text()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(90) == 0
    assert running.wait_until_gone() == {}
    assert not (kept.data / "postgres" / "postmaster.pid").exists()


def test_a_second_run_is_refused_and_does_not_affect_the_first(kept: Kept) -> None:
    first = kept.start()
    first.read_until("Ctrl-C stops everything")
    log = kept.data / "orchestrator.log"
    before = log.stat()
    second = kept.start()
    output = second.read_until("--metrics-port")
    assert f"the gRPC port 127.0.0.1:{kept.port} cannot be had: Address already in use" in output
    assert second.process.wait(90) == 1
    assert (log.stat().st_ino, log.stat().st_size >= before.st_size) == (before.st_ino, True)
    kept.port, kept.metrics_port = free_port(), free_port()
    third = kept.start()
    assert f"another `make run` uses the folder {kept.data}" in third.read_until("--data")
    assert third.process.wait(90) == 1
    first.process.send_signal(signal.SIGTERM)
    first.read_until("stopping …")
    assert first.process.wait(90) == 0
    assert first.wait_until_gone() == {}


def test_the_link_that_is_printed_signs_a_person_in_to_the_page_once(kept: Kept) -> None:
    running = kept.start()
    output = running.read_until("Ctrl-C stops everything")
    [link] = re.findall(r"^  sign in +(\S+)$", output, re.MULTILINE)
    [page] = re.findall(r"^  page +(\S+)$", output, re.MULTILINE)
    with httpx.Client(trust_env=False, timeout=30, headers={"Origin": page.rstrip("/")}) as http:
        answer = http.post(link)
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text
        assert http.get(page, headers={"Sec-Fetch-Site": "none"}).status_code == 200
        assert http.post(link).status_code == 410
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(90) == 0


def test_a_run_whose_folder_is_removed_stops(kept: Kept) -> None:
    kept.data /= "data"
    running = kept.start()
    running.read_until("Ctrl-C stops everything")
    kept.data.rename(kept.data.with_name("removed"))
    running.read_until(f"the folder {kept.data} was removed; everything is stopped")
    assert running.process.wait(90) == 1
    assert running.wait_until_gone() == {}
