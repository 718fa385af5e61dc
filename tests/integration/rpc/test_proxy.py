"""A machine with a proxy in its environment: our processes do not use it to reach each other."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from i2v_client import AsyncClient
from services.orchestrator.backends.triton_client import TritonClient
from services.rpc.channel import open_channel
from tests.support.blob_stores import a_file, a_key, content, minio
from tests.support.client_command import Command
from tests.support.dead_proxies import DEAD
from tests.support.s3_fixture import S3Server
from tests.support.scripted_server import KEY, Rig, scripted
from tests.support.scripted_triton import ScriptedTriton, serving
from tools.stack_process import StackProcess, free_port


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in DEAD.items():
        monkeypatch.setenv(name, value)
    yield


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with scripted() as made:
        yield made


async def test_a_process_of_ours_calls_another_one_directly(rig: Rig, proxies: None) -> None:
    async with open_channel(rig.address) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_local_engine_is_called_directly(proxies: None) -> None:
    async with serving(ScriptedTriton()) as address:
        engine = TritonClient(address)
        try:
            assert await engine.ready("transformer")
        finally:
            await engine.close()


async def test_the_blob_store_is_called_directly(s3_server: S3Server, tmp_path: Path, proxies: None) -> None:
    blobs, key, (path, data) = minio(s3_server), a_key(), a_file(tmp_path, 1000)
    await blobs.put_file(key, path, media_type="video/mp4")
    assert await content(blobs, key) == data
    await blobs.close()


def test_the_stack_checks_its_programs_directly(tmp_path: Path, proxies: None) -> None:
    port = free_port()
    environment = {"PYTHONPATH": ":".join(sys.path)}
    with StackProcess(
        "the prompt writer",
        "services.providers.prompt",
        log=tmp_path / "log",
        ports={"prompt writer's": port, "metrics": (metrics := free_port())},
        environment=environment
        | DEAD
        | {"I2V_PROMPT_LISTEN": f"127.0.0.1:{port}", "I2V_PROMPT_METRICS_LISTEN": f"127.0.0.1:{metrics}"},
    ) as program:
        assert program.lives


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "dns:///localhost"])
async def test_a_client_reaches_this_machine(rig: Rig, proxies: None, name: str) -> None:
    async with AsyncClient(f"{name}:{rig.address.rpartition(':')[2]}", KEY, retry_for_s=30) as client:
        assert await client.models()


async def error_lines(folder: Path, server: str, **environment: str) -> str:
    """The lines that `i2v jobs` prints when it cannot reach a server."""
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.client.cli", "--server", server, "jobs"),
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={"PYTHONPATH": ":".join(sys.path), "I2V_KEY": KEY, **environment},
    )
    _, err = await command.communicate()
    assert command.returncode == 5
    return err.decode()


async def test_an_error_names_the_proxy_to_another_machine_without_its_password(tmp_path: Path) -> None:
    err = await error_lines(tmp_path, "i2v.test:50051", http_proxy="http://user:secret@127.0.0.1:9")
    assert "The call went through the proxy 127.0.0.1:9, which http_proxy names; no_proxy excludes a server" in err
    assert "secret" not in err


async def test_an_error_does_not_name_an_unused_proxy(tmp_path: Path) -> None:
    servers = ["127.0.0.1:9", "[::1]:9", "i2v.test:9", "ipv4:127.0.0.1:9,127.0.0.2:9"]
    proxy = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "i2v.test"}
    for err in await asyncio.gather(*(error_lines(tmp_path, server, **proxy) for server in servers)):
        assert "proxy" not in err


async def test_the_command_reaches_a_server_of_this_machine(rig: Rig, tmp_path: Path, proxies: None) -> None:
    ended = await Command(rig.address, tmp_path).end(
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.client.cli", "--server", rig.address, "jobs"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env={"PYTHONPATH": ":".join(sys.path), "I2V_KEY": KEY, **DEAD},
        )
    )
    assert (ended.code, ended.err) == (0, "")
