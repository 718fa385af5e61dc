"""Jobs wait during a shortage on our own machine: they continue when there is space, and nothing is paid twice."""

import errno
import resource
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from i2v.v1 import asset_pb2, asset_pb2_grpc, job_pb2

from services.orchestrator.backends.provider_backend import ProviderBackend
from services.orchestrator.ports.backend import BackendEvent, GenerationRequest
from services.orchestrator.role import Role
from services.rpc.status_codes import from_call
from tests.support import paid_work
from tests.support.builders import ScriptedBackend
from tests.support.pictures import a_picture
from tests.support.programs import program
from tests.support.scripted_provider import ScriptedProvider
from tests.support.served_orchestrator import GOLDEN, Served, caller, image_spec, parts, served, text_spec
from tests.support.worker_processes import worker

State = job_pb2.Job
NO_THREAD = "can't start new thread"
FULL = Path("/dev/full")
"""A device of Linux that answers every write with ENOSPC."""


async def waits(i2v: Served, name: str) -> list[str]:
    """Why the job had to wait, in order."""
    return [event.retrying.error.reason async for event in i2v.watch(name) if event.HasField("retrying")]


class FullFor(ScriptedBackend):
    """A backend with a disk that is full during the first attempts, when a file of this name is written."""

    def __init__(self, name: str, attempts: int = 2) -> None:
        super().__init__()
        self._name, self._attempts = name, attempts

    async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        if attempt.number <= self._attempts:
            (attempt.workdir / self._name).symlink_to(FULL)
        async with aclosing(super().generate(attempt)) as events:
            async for event in events:
                yield event


@pytest.mark.parametrize("name", ["fragment-0.mp4", "video.mp4"])
async def test_a_job_waits_while_the_disk_is_full(database: str, tmp_path: Path, name: str) -> None:
    backend = FullFor(name)
    async with served(database, tmp_path, {"test": (backend, 1)}) as i2v:
        ended = await i2v.ended((await i2v.submit(text_spec())).name)
        assert (ended.state, ended.attempt, ended.charged.amount_micros) == (State.SUCCEEDED, 3, 1000)
        assert await waits(i2v, ended.name) == ["DISK_FULL", "DISK_FULL"]


async def test_a_job_waits_during_a_shortage_of_memory_descriptors_or_threads(database: str, tmp_path: Path) -> None:
    backend = ScriptedBackend()
    backend.troubles = [MemoryError(), OSError(errno.EMFILE, "Too many open files"), RuntimeError(NO_THREAD)]
    async with served(database, tmp_path, {"test": (backend, 1)}) as i2v:
        ended = await i2v.ended((await i2v.submit(text_spec())).name)
        assert (ended.state, ended.attempt, ended.charged.amount_micros) == (State.SUCCEEDED, 4, 1000)
        assert await waits(i2v, ended.name) == ["RESOURCES_EXHAUSTED"] * 3


async def test_an_upload_without_descriptors_is_refused_and_accepted_later(database: str, tmp_path: Path) -> None:
    """An API process that loses its file descriptors while it runs, and gets them back."""
    settings = {
        "I2V_DATABASE_URL": database,
        "I2V_DATA": str(tmp_path / "data"),
        "I2V_TRITON": "",
        "I2V_DEV_KEY_FILE": str(tmp_path / "key"),
    }
    async with program("services.orchestrator", "api", log=tmp_path / "log", prefix="I2V_", **settings) as api:
        key = (tmp_path / "key").read_text().strip()
        async with grpc.aio.insecure_channel(api.address) as channel:
            assets: Any = asset_pb2_grpc.AssetServiceStub(channel)

            async def upload(data: bytes) -> str:
                header = asset_pb2.WriteAssetHeader(media_type="image/png")
                who = caller(user="ann", key=key)
                return str((await assets.WriteAsset(parts(header, data), metadata=who)).name)

            assert await upload(a_picture(64, 64))
            before = resource.prlimit(api.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(api.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await upload(a_picture(65, 65))
            resource.prlimit(api.process.pid, resource.RLIMIT_NOFILE, before)
            error = from_call(refused.value)
            assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "RESOURCES_EXHAUSTED")
            assert error.retry_after_s == 5
            assert await upload(a_picture(65, 65))


class FullForTheVideo(ProviderBackend):
    """A provider's backend with a disk that is full during the first attempt, when the vendor's video is written."""

    async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        if attempt.number == 1:
            (attempt.workdir / "video.mp4").symlink_to(FULL)
        async with aclosing(super().generate(attempt)) as events:
            async for event in events:
                yield event


async def test_a_paid_video_without_disk_space_is_fetched_again(database: str, tmp_path: Path) -> None:
    vendor = ScriptedProvider(paid_work.VIDEO)
    async with paid_work.remotely(database, tmp_path, vendor, backend=FullForTheVideo) as i2v:
        ended = await i2v.ended((await i2v.submit(paid_work.spec())).name)
        assert (ended.state, ended.charged.amount_micros) == (State.SUCCEEDED, 5000)
        assert await waits(i2v, ended.name) == ["DISK_FULL"]
        assert (len(vendor.submitted), len(vendor.attached)) == (1, 1)


class UnreadableOnce(ProviderBackend):
    """A provider's backend that cannot read its inputs during the submission of its first attempt."""

    async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        if attempt.number == 1:
            # It opens like any file, and every read from its beginning fails with EIO.
            unreadable = [replace(given, path=Path("/proc/self/mem")) for given in attempt.inputs]
            attempt = replace(attempt, inputs=tuple(unreadable))
        async with aclosing(super().generate(attempt)) as events:
            async for event in events:
                yield event


async def test_unreadable_inputs_are_certainly_not_submitted(database: str, tmp_path: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        values["models_file"] = tmp_path / "models.toml"

    cards = (GOLDEN / "remote.toml").read_text().replace("text-to-video", "image-to-video")
    (tmp_path / "models.toml").write_text(cards)
    vendor = ScriptedProvider(paid_work.VIDEO)
    async with paid_work.remotely(database, tmp_path, vendor, backend=UnreadableOnce, change=change) as i2v:
        image = (await i2v.upload(a_picture(400, 400))).name
        ended = await i2v.ended((await i2v.submit(image_spec(image, model="remote-text"))).name)
        assert (ended.state, ended.attempt) == (State.SUCCEEDED, 2)
        assert await waits(i2v, ended.name) == ["DISK_UNAVAILABLE"]
        assert [task.submission_id[-2:] for task in vendor.submitted] == [".2"]


@pytest.mark.parametrize(
    ("kind", "few", "reason"),
    [(resource.RLIMIT_FSIZE, 16, "DISK_FULL"), (resource.RLIMIT_NOFILE, 3, "RESOURCES_EXHAUSTED")],
    ids=["file-size", "open-files"],
)
async def test_a_worker_finishes_its_job_when_a_shortage_ends(
    database: str, tmp_path: Path, kind: int, few: int, reason: str
) -> None:
    """A worker process with limits that are lowered while it runs, and raised again."""
    (tmp_path / "models.toml").write_text((GOLDEN / "models.toml").read_text().replace('"test"', '"fake"'))

    def change(values: dict[str, Any]) -> None:
        values["models_file"] = tmp_path / "models.toml"

    async with served(database, tmp_path, {}, role=Role.API, change=change) as i2v:
        with worker(database, tmp_path) as process:
            first = await i2v.ended((await i2v.submit(text_spec())).name)
            assert first.state == State.SUCCEEDED
            before = resource.prlimit(process.pid, kind)
            resource.prlimit(process.pid, kind, (few, before[1]))
            job = await i2v.submit(text_spec())
            waited = await i2v.until(job.name, "retrying")
            resource.prlimit(process.pid, kind, before)
            assert waited.retrying.error.reason == reason
            assert (await i2v.ended(job.name)).state == State.SUCCEEDED


def demanding(values: dict[str, Any]) -> None:
    """Requires more space than any disk has."""
    values |= {"disk_free_bytes": 1 << 62, "disk_free_share": 1.0}


async def test_nothing_is_accepted_or_charged_when_there_is_little_disk_space(database: str, tmp_path: Path) -> None:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as i2v:
        admitted = await i2v.ended((await i2v.submit(text_spec(), "6f9619ff-8b86-4011-b42d-00c04fc964ff")).name)
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, change=demanding) as i2v:
        health = health_pb2_grpc.HealthStub(i2v.channel)
        assert (
            await health.Check(health_pb2.HealthCheckRequest())
        ).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert i2v.registry.get_sample_value("i2v_disk_free_bytes", {"place": "blobs"})
        for call in (i2v.submit(text_spec()), i2v.upload(a_picture(64, 64))):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            error = from_call(refused.value)
            assert (error.code, error.reason, error.retry_after_s) == (grpc.StatusCode.UNAVAILABLE, "DISK_FULL", 10)
        again = await i2v.submit(text_spec(), "6f9619ff-8b86-4011-b42d-00c04fc964ff")
        assert again.name == admitted.name, "what was admitted stays the answer"
        usage = await i2v.usage()
        assert (usage.user.reserved.amount_micros, usage.user.spent.amount_micros) == (0, 1000)


async def test_a_job_starts_when_there_is_disk_space_and_no_vendor_is_called_before(
    database: str, tmp_path: Path
) -> None:
    vendor = ScriptedProvider(paid_work.VIDEO)
    async with paid_work.life(database, tmp_path, vendor) as (i2v, settings):
        job = await i2v.submit(paid_work.spec())
        no_free_space = {"I2V_DISK_FREE_BYTES": str(1 << 62), "I2V_DISK_FREE_SHARE": "1"}
        with worker(database, tmp_path, **settings, **no_free_space):
            assert (await i2v.until(job.name, "retrying")).retrying.error.reason == "DISK_FULL"
            assert vendor.submitted == []
        with worker(database, tmp_path, **settings):
            assert (await i2v.ended(job.name)).state == State.SUCCEEDED
        assert len(vendor.submitted) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB. Mounting it requires root; other users have only the tests with /dev/full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a file system to test on a disk that is really full")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leaves no byte free."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            if file.write(bytes(65536)) < 65536:
                file.write(b"one more")
    return filler


async def test_a_disk_that_fills_during_a_job_only_delays_it(database: str, small_disk: Path) -> None:
    backend = ScriptedBackend()
    backend.gate.clear()
    async with served(database, small_disk, {"test": (backend, 1)}) as i2v:
        job = await i2v.submit(text_spec(seconds=2))
        await i2v.until(job.name, "fragment_ready")
        filler = fill(small_disk)
        backend.gate.set()
        assert (await i2v.until(job.name, "retrying")).retrying.error.reason == "DISK_FULL"
        watch = health_pb2_grpc.HealthStub(i2v.channel).Watch(health_pb2.HealthCheckRequest())
        while (await watch.read()).status != health_pb2.HealthCheckResponse.NOT_SERVING:
            pass
        for call in (i2v.submit(text_spec()), i2v.upload(a_picture(64, 64))):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert from_call(refused.value).reason == "DISK_FULL"
        filler.unlink()
        while (await watch.read()).status != health_pb2.HealthCheckResponse.SERVING:
            pass
        ended = await i2v.ended(job.name)
        assert (ended.state, ended.charged.amount_micros) == (State.SUCCEEDED, 2000)
        assert set(await waits(i2v, job.name)) == {"DISK_FULL"}
        assert (await i2v.upload(a_picture(64, 64))).name
