"""The Python client as a package: its wheel is whole, needs no server, and is typed for its users."""

import asyncio
import json
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from tests.support.client_wheel import CLIENT, ROOT, Installed, built, installed
from tests.support.scripted_server import KEY, PICTURE, VIDEO, Rig
from tools.stack_process import HOST, free_port

DEPENDENCIES = {"google", "grpc", "grpc_status", "standardwebhooks", "typing_extensions"}
LOADED_BY_GRPC = {"grpc_health", "grpc_reflection", "grpc_tools"}
"""By gRPC itself, where they are installed."""
PROGRAM = """
from typing import assert_type

from i2v.v1 import asset_pb2, job_pb2

from i2v_client import AsyncClient, Client, I2VError, TlsFiles, WebhookEvent, job_spec, verify_webhook


async def asynchronous(key: str) -> None:
    async with AsyncClient("a:1,b:1", key, "ann", tls=TlsFiles(ca="ca.pem")) as i2v:
        job = await i2v.submit(job_spec("It moves."))
        assert_type(job, job_pb2.Job)
        async for event in i2v.watch(job.name, retry_for_s=60):
            assert_type(event, job_pb2.JobEvent)
        async for entry in i2v.library.assets(words="cat"):
            assert_type(entry, asset_pb2.Asset)
        await i2v.submit("It moves.")  # type: ignore[arg-type]


def waiting(key: str, body: bytes, headers: dict[str, str]) -> float | None:
    with Client("a:1", key) as i2v:
        assert_type(i2v.submit(job_spec("It moves."), quote_token="q"), job_pb2.Job)
        for event in i2v.watch("jobs/7", after=3):
            assert_type(event, job_pb2.JobEvent)
        for entry in i2v.library.assets(filter="type = video"):
            assert_type(entry, asset_pb2.Asset)
        i2v.submit(7)  # type: ignore[arg-type]
        i2v.library.assets(no_such="x")  # type: ignore[call-arg]
    assert_type(verify_webhook(body, headers, ["a", "b"]), WebhookEvent)
    try:
        return None
    except I2VError as error:
        assert_type(error.reason, str)
        return error.retry_after_s
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(CLIENT, tmp_path_factory.mktemp("client") / "wheel")


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return installed(wheel, tmp_path_factory.mktemp("environment") / "venv")


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_has_the_library_and_the_stubs_of_the_public_protos_alone(wheel: Path) -> None:
    found = names(wheel)
    library = {f"i2v_client/{file.name}" for file in (CLIENT / "src/i2v_client").glob("*.*")}
    protos = {file.stem for file in (ROOT / "proto/i2v/v1").glob("*.proto")}
    stubs = {f"i2v/v1/{name}_pb2{end}" for name in protos for end in (".py", ".pyi", "_grpc.py", "_grpc.pyi")}
    assert found == library | stubs | {"i2v/v1/py.typed"}
    assert "i2v_client/py.typed" in library


def test_the_servers_wheel_shares_no_file_with_it_so_that_both_can_be_installed(wheel: Path, tmp_path: Path) -> None:
    server = names(built(ROOT, tmp_path / "wheel"))
    assert "services/client/cli.py" in server and any(name.startswith("i2v/provider/v1/") for name in server)
    assert not server & names(wheel)


def test_it_loads_what_it_depends_on_and_nothing_of_the_server(environment: Installed) -> None:
    files = "{name: str(getattr(module, '__file__', '')) for name, module in sys.modules.items()}"
    program = f"import json, sys, i2v_client; print(json.dumps({files}))"
    done = subprocess.run([environment.python, "-I", "-c", program], capture_output=True, timeout=60, check=True)
    modules = json.loads(done.stdout)
    tops = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {"sitecustomize"}  # Debian's
    tops = {name for name in tops if "cython" not in name and not name.startswith("__")}
    assert tops - LOADED_BY_GRPC <= DEPENDENCIES | {"i2v", "i2v_client"}
    assert modules["i2v_client"].startswith(str(environment.folder))
    assert modules["i2v.v1.job_pb2"].startswith(str(environment.folder))


def test_a_users_program_is_checked_by_strict_mypy(environment: Installed, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    examples = sorted((CLIENT / "examples").glob("*.py"))
    options = ("--strict", "--python-executable", environment.python, "--cache-dir", tmp_path / "cache")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--config-file=", program, *examples],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_an_example_makes_a_video_with_the_wheel_alone(environment: Installed, rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(PICTURE)
    rig.script.break_watch_after = [2, 4]
    started = await asyncio.create_subprocess_exec(
        *(environment.python, "-I", CLIENT / "examples/one_video.py", "cat.png", "cat.mp4"),
        cwd=tmp_path,
        env={"I2V_SERVER": rig.address, "I2V_KEY": KEY},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await asyncio.wait_for(started.communicate(), 60)
    assert started.returncode == 0
    assert [line.split()[0] for line in printed.decode().splitlines()] == ["1", "2", "3", "4", "5", "6", "cat.mp4:"]
    assert (tmp_path / "cat.mp4").read_bytes() == VIDEO


async def test_the_example_of_a_receiver_takes_each_event_once_and_refuses_strangers(environment: Installed) -> None:
    secret, url = "whsec_c2VjcmV0LW9mLXRoZS1lbmRwb2ludA==", f"http://{HOST}:{(port := free_port())}/"
    now = datetime.now(UTC)
    body = json.dumps({"type": "job.succeeded", "timestamp": now.isoformat(), "data": {"job": "jobs/7"}})
    signature = Webhook(secret).sign("evt_1", now, body)
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    receiver = await asyncio.create_subprocess_exec(
        *(environment.python, "-I", CLIENT / "examples/webhook_receiver.py", str(port)),
        env=os.environ | {"WEBHOOK_SECRETS": f"whsec_bmV3LXNlY3JldA== {secret}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        transport = httpx.AsyncHTTPTransport(retries=9)  # until it listens
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=30) as http:
            answers = [await http.post(url, content=body, headers=headers) for _ in range(2)]
            answers.append(await http.post(url, content=body + " ", headers=headers))
            answers.append(await http.post(url, content=body))
    finally:
        receiver.terminate()
    printed, _ = await receiver.communicate()
    assert [each.status_code for each in answers] == [204, 204, 400, 400]
    assert printed.decode() == "job.succeeded jobs/7 evt_1\n"
