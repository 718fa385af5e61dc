"""What our own machine lacks is waited for: the job goes on when there is room again, and nothing is paid twice."""

import resource
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from i2v.v1 import job_pb2

from services.orchestrator.app import Role
from services.orchestrator.backends.provider import ProviderBackend
from services.orchestrator.ports.backend import Attempt, BackendEvent
from tests import paid
from tests.builders import ScriptedBackend
from tests.pictures import a_picture
from tests.scripted_provider import ScriptedProvider, providing
from tests.served import GOLDEN, Served, image_spec, served, text_spec
from tests.worker_process import worker

State = job_pb2.Job
FULL = Path("/dev/full")
"""A device of Linux that answers every write with ENOSPC."""


async def waits(i2v: Served, name: str) -> list[str]:
    """Why the job had to wait, in order."""
    return [event.retrying.error.reason async for event in i2v.watch(name) if event.HasField("retrying")]


class FullFor(ScriptedBackend):
    """A backend on whose first attempts the disk is full when a file of a name is written."""

    def __init__(self, name: str, attempts: int = 2) -> None:
        super().__init__()
        self._name, self._attempts = name, attempts

    async def generate(self, attempt: Attempt) -> AsyncGenerator[BackendEvent, None]:
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


class FullForTheVideo(ProviderBackend):
    """A provider's backend on whose first attempt the disk is full when the vendor's video is written."""

    async def generate(self, attempt: Attempt) -> AsyncGenerator[BackendEvent, None]:
        if attempt.number == 1:
            (attempt.workdir / "video.mp4").symlink_to(FULL)
        async with aclosing(super().generate(attempt)) as events:
            async for event in events:
                yield event


async def test_a_paid_video_that_finds_no_room_is_fetched_again(database: str, tmp_path: Path) -> None:
    vendor = ScriptedProvider(paid.VIDEO)
    async with providing(vendor) as address:
        backend = FullForTheVideo(address, "the-key")
        async with served(database, tmp_path, {"vendor": (backend, 4)}, change=paid.remote) as i2v:
            ended = await i2v.ended((await i2v.submit(paid.spec())).name)
            assert (ended.state, ended.charged.amount_micros) == (State.SUCCEEDED, 5000)
            assert await waits(i2v, ended.name) == ["DISK_FULL"]
            assert (len(vendor.submitted), len(vendor.attached)) == (1, 1)
            assert await i2v.app.store.audit() == 0
        await backend.close()


class UnreadableOnce(ProviderBackend):
    """A provider's backend that cannot read its inputs, on its first attempt, once it hands them over."""

    async def generate(self, attempt: Attempt) -> AsyncGenerator[BackendEvent, None]:
        if attempt.number == 1:
            # Opens as any file, and answers every read from its beginning with EIO.
            unreadable = [replace(given, path=Path("/proc/self/mem")) for given in attempt.inputs]
            attempt = replace(attempt, inputs=tuple(unreadable))
        async with aclosing(super().generate(attempt)) as events:
            async for event in events:
                yield event


async def test_inputs_that_cannot_be_read_at_the_handover_are_certainly_not_submitted(
    database: str, tmp_path: Path
) -> None:
    def change(values: dict[str, Any]) -> None:
        values["models_file"] = tmp_path / "models.toml"

    cards = (GOLDEN / "remote.toml").read_text().replace("text-to-video", "image-to-video")
    (tmp_path / "models.toml").write_text(cards)
    vendor = ScriptedProvider(paid.VIDEO)
    async with providing(vendor) as address:
        backend = UnreadableOnce(address, "the-key")
        async with served(database, tmp_path, {"vendor": (backend, 4)}, change=change) as i2v:
            image = (await i2v.upload(a_picture(400, 400))).name
            ended = await i2v.ended((await i2v.submit(image_spec(image, model="remote-text"))).name)
            assert (ended.state, ended.attempt) == (State.SUCCEEDED, 2)
            assert await waits(i2v, ended.name) == ["DISK_UNAVAILABLE"]
            assert [task.submission_id[-2:] for task in vendor.submitted] == [".2"]
            assert await i2v.app.store.audit() == 0
        await backend.close()


@pytest.mark.parametrize(
    ("kind", "few", "reason"),
    [(resource.RLIMIT_FSIZE, 16, "DISK_FULL"), (resource.RLIMIT_NOFILE, 3, "RESOURCES_EXHAUSTED")],
    ids=["file-size", "open-files"],
)
async def test_a_worker_without_resources_makes_its_job_when_it_has_them_again(
    database: str, tmp_path: Path, kind: int, few: int, reason: str
) -> None:
    """A worker of its own whose limits are taken from it while it runs, and given back."""
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
