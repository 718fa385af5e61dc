"""No file, folder or log that our programs make can be read by another user of the machine."""

from pathlib import Path

import grpc
from i2v.provider.v1 import provider_pb2_grpc

from i2v_client import AsyncClient, job_spec
from tests.support.pictures import a_picture
from tests.support.programs import program
from tests.support.provider_and_simulator import PICTURE, generate, until
from tests.support.served_orchestrator import GOLDEN
from tools.simulators.wavespeed import WaveSpeedSimulator


def open_to_others(folder: Path) -> list[str]:
    """The folder and everything in it that others may access; links have no permissions of their own."""
    found = [path for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    return [f"{oct(path.stat().st_mode)} {path.name}" for path in found if path.stat().st_mode & 0o077]


async def test_an_orchestrator_writes_for_its_own_user_alone_and_closes_what_was_open(
    database: str, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for folder in (data, data / "blobs", data / "blobs" / "checkpoints"):
        folder.mkdir()
        folder.chmod(0o755)
    (data / "blobs" / "checkpoints" / "of-before").write_bytes(b"latents")
    (data / "blobs" / "checkpoints" / "of-before").chmod(0o644)
    cards = tmp_path / "models.toml"
    cards.write_text((GOLDEN / "models.toml").read_text().replace('"test"', '"fake"'))
    settings = {
        "I2V_DATABASE_URL": database,
        "I2V_DATA": str(data),
        "I2V_TRITON": "",
        "I2V_FAKE_SLOTS": "1",
        "I2V_MODELS_FILE": str(cards),
        "I2V_DEV_KEY_FILE": str(data / "dev-key"),
    }
    async with program("services.orchestrator", "all", log=tmp_path / "log", prefix="I2V_", **settings) as running:
        key = (data / "dev-key").read_text().strip()
        async with AsyncClient(running.address, key, user="ann") as i2v:
            (tmp_path / "picture.png").write_bytes(a_picture(64, 64))
            picture = await i2v.upload(tmp_path / "picture.png")
            job = await i2v.submit(job_spec("it moves", image=picture.name, model="test-model"))
            assert [event async for event in i2v.watch(job.name)]
            assert open_to_others(data) == []
        assert await running.stop() == 0
    assert len(list((data / "blobs").rglob("*"))) > 5
    assert open_to_others(data) == []


async def test_a_provider_writes_for_its_own_user_alone(tmp_path: Path) -> None:
    data = tmp_path / "provider"
    data.mkdir()
    data.chmod(0o755)
    async with WaveSpeedSimulator().running() as simulator:
        simulator.scenario.submit = "hold"
        prefix = "I2V_PROVIDER_WAVESPEED_"
        settings = {
            f"{prefix}KEY": simulator.key,
            f"{prefix}URL": simulator.url,
            f"{prefix}SIMULATION": "true",
            f"{prefix}DATA": str(data),
        }
        running = program("services.providers", "wavespeed", log=tmp_path / "log", prefix=prefix, **settings)
        async with running as provider, grpc.aio.insecure_channel(provider.address) as channel:
            call = generate(provider_pb2_grpc.ProviderServiceStub(channel), "s-1", PICTURE)
            await simulator.arrived.wait()
            assert list(data.rglob("task-*/image"))
            assert open_to_others(data) == []
            simulator.held.set()
            assert await until(call, "accepted")
            call.cancel()
