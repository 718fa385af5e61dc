"""What a profile does on a machine with little memory: it loads the text encoder on demand, or refuses."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from i2v.v1 import job_pb2
from tritonclient.grpc import service_pb2

from services.orchestrator.backends.triton_backend import TritonBackend
from tests.support.served_orchestrator import Served, served, text_spec
from tests.support.triton_fixture import REPOSITORY
from tests.support.triton_wire import connect
from tools.triton_server_error import TritonServerError
from tools.tritonserver import TritonServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def changed(folder: Path, **changes: Any) -> Path:
    """The nano repository with a changed description of itself."""
    for model in (each for each in REPOSITORY.iterdir() if each.is_dir() and each.name != "profile"):
        (folder / model.name).symlink_to(model)
    shutil.copytree(REPOSITORY / "profile", folder / "profile")
    file = folder / "profile" / "1" / "profile.json"
    stamp = json.loads(file.read_text())
    file.write_text(json.dumps(stamp | {"profile": stamp["profile"] | changes}))
    return folder


@pytest.fixture(scope="module")
def lending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    repository = changed(tmp_path_factory.mktemp("models"), text_on_demand=True)
    with TritonServer(repository, state=tmp_path_factory.mktemp("triton")) as server:
        yield server


async def encoder_is_loaded(server: TritonServer) -> bool:
    async with connect(server.grpc_address) as stub:
        return bool((await stub.ModelReady(service_pb2.ModelReadyRequest(name="text_encoder"))).ready)


def nano(values: dict[str, object]) -> None:
    values["models_file"] = Path("deploy/config/models.toml")


async def videos(i2v: Served, prompts: list[str]) -> list[str]:
    """The digests, before signing, of videos that are made at the same time."""
    jobs = [await i2v.submit(text_spec(prompt, model="nano", seconds=1, seed=3)) for prompt in prompts]
    ended = [await i2v.ended(job.name) for job in jobs]
    assert [job.state for job in ended] == [job_pb2.Job.SUCCEEDED] * len(prompts), ended
    return [await i2v.unsigned(job) for job in ended]


async def test_a_text_encoder_on_demand_is_loaded_only_for_the_prompt(
    database: str, tmp_path: Path, lending: TritonServer, triton: TritonServer
) -> None:
    assert not await encoder_is_loaded(lending)
    backend = TritonBackend(lending.grpc_address)
    await backend.check()
    async with served(database, tmp_path, {"triton": (backend, 3)}, change=nano) as i2v:
        borrowed = await videos(i2v, ["a wave", "a bird", "a tree"])
        assert not await encoder_is_loaded(lending)
    await backend.close()
    backend = TritonBackend(triton.grpc_address)
    async with served(database, tmp_path, {"triton": (backend, 3)}, change=nano) as i2v:
        assert await videos(i2v, ["a wave", "a bird", "a tree"]) == borrowed
    await backend.close()


def test_too_little_memory_is_reported_before_the_server_is_ready(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    repository.mkdir()
    changed(repository, memory={"gpu": 0, "cpu": 10**15})
    with pytest.raises(TritonServerError, match=r"takes 1000000\.0 GB of CPU memory, and there are .*text_on_demand"):
        TritonServer(repository, state=tmp_path / "state").start()
