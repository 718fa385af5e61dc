"""Pictures become videos on a real Triton, through the real service: what the models see, and what faults do."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import av
import numpy as np
import pytest
from i2v.v1 import job_pb2

from services.orchestrator.backends.triton_backend import TritonBackend
from services.orchestrator.media.probe import find_mark
from services.orchestrator.pace import Pace
from services.orchestrator.ports.backend import BackendEvent, Checkpoint, Fragment, GenerationRequest
from tests.support import pictures
from tests.support.served_orchestrator import Served, image_spec, served
from tests.support.triton_fixture import REPOSITORY
from tests.support.triton_wire import metrics
from tools.tritonserver import TritonServer, free_ports

pytestmark = pytest.mark.e2e

CAT = Path("tests/golden/cat.png").read_bytes()
CONFIG = Path("deploy/config")
QUICK = Pace(longest_retry_s=1.0)
VIDEOS = 8
"""At most, until the fragments of one come while it is made."""
FORWARDS = "i2v_transformer_forwards_total"


def nano(values: dict[str, object]) -> None:
    values["models_file"] = CONFIG / "models.toml"


@pytest.fixture
async def i2v(database: str, tmp_path: Path, triton: TritonServer) -> AsyncIterator[Served]:
    backend = TritonBackend(triton.grpc_address)
    async with served(database, tmp_path, {"triton": (backend, 2)}, change=nano) as running:
        yield running
        assert await running.app.store.counter_audits.full(limit=9) == []
    await backend.close()


def a_spec(image: str, seconds: int = 1, prompt: str = "the cat looks up", seed: int = 7) -> job_pb2.JobSpec:
    spec = image_spec(image, prompt, model="nano", seed=seed)
    spec.duration.seconds = seconds
    return spec


async def frames(i2v: Served, job: job_pb2.Job, tmp_path: Path) -> np.ndarray:
    """(F, H, W, 3) of a finished job's video."""
    assert job.state == job_pb2.Job.SUCCEEDED, job
    file = tmp_path / "video.mp4"
    file.write_bytes(await i2v.download(job.output.asset))
    with av.open(file) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])


async def test_of_two_tritons_the_one_that_is_there_makes_the_video_and_says_its_slots(
    database: str, tmp_path: Path, triton: TritonServer
) -> None:
    def change(values: dict[str, object]) -> None:
        nano(values)
        values["triton"] = f"127.0.0.1:9,{triton.grpc_address}"

    async with served(database, tmp_path, None, change=change) as i2v:
        image = await i2v.upload(CAT)
        job = await i2v.ended((await i2v.submit(a_spec(image.name))).name)
        assert (job.state, job.attempt) == (job_pb2.Job.SUCCEEDED, 1)
        labels = {"backend": "triton", "server": triton.grpc_address}
        assert i2v.registry.get_sample_value("i2v_triton_slots", labels) == 2


async def test_a_server_stays_however_often_it_is_looked_at(tmp_path: Path) -> None:
    """Workers look every few seconds, for months; what it once died of came one time in a hundred."""
    with TritonServer(REPOSITORY, state=tmp_path / "triton") as server:
        backend = TritonBackend(server.grpc_address)

        async def look() -> None:
            for _ in range(100):
                await backend.check()

        await asyncio.gather(*(look() for _ in range(4)))
        await backend.close()


async def test_the_mark_is_found_in_a_video_that_was_made_with_it(
    database: str, tmp_path: Path, triton: TritonServer
) -> None:
    backend = TritonBackend(triton.grpc_address, marked=True)
    async with served(database, tmp_path, {"triton": (backend, 2)}, change=nano) as i2v:
        picture = await i2v.upload(CAT)
        job = await i2v.ended((await i2v.submit(a_spec(picture.name))).name)
        (tmp_path / "marked.mp4").write_bytes(await i2v.download(job.output.asset))
    await backend.close()
    assert await asyncio.to_thread(find_mark, tmp_path / "marked.mp4")


class Recording(TritonBackend):
    """Keeps the kinds of its events, in order."""

    kinds: list[type[BackendEvent]]

    async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        self.kinds = []
        async with aclosing(super().generate(attempt)) as events:
            async for event in events:
                self.kinds.append(type(event))
                yield event

    @property
    def streamed(self) -> bool:
        """Whether the first fragment came before the last block, which has a checkpoint."""
        *_, last_block = (at for at, kind in enumerate(self.kinds) if kind is Checkpoint)
        return self.kinds.index(Fragment) < last_block


async def test_a_cat_becomes_a_five_second_video(database: str, tmp_path: Path, triton: TritonServer) -> None:
    backend = Recording(triton.grpc_address)
    async with served(database, tmp_path, {"triton": (backend, 2)}, change=nano) as i2v:
        picture = await i2v.upload(CAT)
        # On a busy machine the decoder may get no time until the transformer has made all blocks, but not each time.
        for seed in range(VIDEOS):
            job = await i2v.submit(a_spec(picture.name, seconds=5, seed=seed))
            events = [event async for event in i2v.watch(job.name)]
            job = await i2v.job(job.name)
            assert (await frames(i2v, job, tmp_path)).shape == (81, 128, 224, 3)
            assert (job.output.frames, job.output.fps, job.charged.amount_micros) == (81, 16, 5000)
            ready = [event.fragment_ready.index for event in events if event.HasField("fragment_ready")]
            assert (ready, events[-1].WhichOneof("event")) == (list(range(10)), "succeeded")
            assert (backend.kinds.count(Checkpoint), backend.kinds.count(Fragment)) == (10, 10)
            if backend.streamed:
                break
        else:
            raise AssertionError(f"the fragments of {VIDEOS} videos came after their last blocks")
        assert await i2v.app.store.counter_audits.full(limit=9) == []
    await backend.close()


async def test_pictures_prompts_and_seeds_matter_and_the_same_request_gives_the_same_bytes(
    i2v: Served, tmp_path: Path
) -> None:
    cat, other = await i2v.upload(CAT), await i2v.upload(pictures.a_picture(224, 128))
    specs = {
        "first": a_spec(cat.name),
        "again": a_spec(cat.name),
        "picture": a_spec(other.name),
        "prompt": a_spec(cat.name, prompt="everything stands still"),
        "seed": a_spec(cat.name, seed=8),
    }
    jobs = {name: await i2v.submit(spec) for name, spec in specs.items()}  # two at a time, beside each other
    made = {name: await i2v.ended(job.name) for name, job in jobs.items()}
    unsigned = {name: await i2v.unsigned(job) for name, job in made.items()}
    assert unsigned["first"] == unsigned["again"]
    assert len(set(unsigned.values())) == 4
    shown = {name: (await frames(i2v, job, tmp_path)).astype(float) for name, job in made.items()}

    def differ(one: str, other: str, frame: int) -> float:
        return float(np.abs(shown[one][frame] - shown[other][frame]).mean())

    assert differ("first", "picture", 0) > 5, "the first frame is the picture's"
    assert differ("first", "seed", 0) == 0, "the first frame is the picture's alone"
    assert differ("first", "seed", 16) > 1
    assert differ("first", "picture", 16) > 1


async def test_a_text_alone_becomes_a_video_of_any_size_of_the_card(i2v: Served, tmp_path: Path) -> None:
    for width, height in ((128, 224), (160, 160)):
        spec = job_pb2.JobSpec(model="nano", text_to_video=job_pb2.TextToVideo(prompt="waves"), seed=1)
        spec.duration.seconds, spec.size.width, spec.size.height = 1, width, height
        job = await i2v.ended((await i2v.submit(spec)).name)
        assert (await frames(i2v, job, tmp_path)).shape == (17, height, width, 3)


async def test_a_cancel_stops_the_work_inside_triton_within_one_forward(i2v: Served, triton: TritonServer) -> None:
    picture = await i2v.upload(CAT)
    job = await i2v.submit(a_spec(picture.name, seconds=5))
    await i2v.until(job.name, "fragment_ready")
    await i2v.cancel(job.name)
    ended = await i2v.ended(job.name)
    at_end = metrics(triton.metrics_address)[FORWARDS]
    assert ended.state == job_pb2.Job.CANCELLED
    assert 0 < ended.charged.amount_micros < ended.quote.amount_micros
    await asyncio.sleep(1)  # twenty forwards' time
    assert metrics(triton.metrics_address)[FORWARDS] <= at_end + 1
    assert metrics(triton.metrics_address)["i2v_vae_decoder_sequences"] == 0, "the clip's cache was given back"


async def test_jobs_wait_for_a_triton_that_is_down_and_are_made_when_it_comes(
    database: str, tmp_path: Path, triton: TritonServer
) -> None:
    port = free_ports()["grpc"]
    backend = TritonBackend(f"127.0.0.1:{port}")
    async with served(database, tmp_path, {"triton": (backend, 1)}, change=nano, pace=QUICK) as i2v:
        picture = await i2v.upload(CAT)
        job = await i2v.submit(a_spec(picture.name))
        waiting = await i2v.until(job.name, "retrying")
        assert (waiting.retrying.error.reason, waiting.retrying.error.retryable) == ("ENGINE_UNREACHABLE", True)
        with TritonServer(triton.repository, state=tmp_path / "triton", grpc_port=port):
            job = await i2v.ended(job.name)
        assert (job.state, job.charged.amount_micros) == (job_pb2.Job.SUCCEEDED, 1000)
        assert await i2v.app.store.counter_audits.full(limit=9) == []
    await backend.close()


async def test_a_triton_that_dies_in_the_middle_costs_an_attempt_not_the_job(
    database: str, tmp_path: Path, triton: TritonServer
) -> None:
    port = free_ports()["grpc"]
    backend = TritonBackend(f"127.0.0.1:{port}")
    async with served(database, tmp_path, {"triton": (backend, 2)}, change=nano, pace=QUICK) as i2v:
        picture = await i2v.upload(CAT)
        with TritonServer(triton.repository, state=tmp_path / "triton", grpc_port=port):
            job = await i2v.submit(a_spec(picture.name, seconds=5))
            await i2v.until(job.name, "fragment_ready")
        began = time.monotonic()
        await i2v.until(job.name, "retrying")
        assert time.monotonic() - began < 90
        spec = a_spec(picture.name)
        spec.timeout.seconds = 2
        short = await i2v.ended((await i2v.submit(spec)).name)
        assert (short.state, short.error.retryable, short.charged.amount_micros) == (job_pb2.Job.FAILED, True, 0)
        with TritonServer(triton.repository, state=tmp_path / "triton", grpc_port=port):
            job = await i2v.ended(job.name)
        assert job.state == job_pb2.Job.SUCCEEDED and job.attempt > 1
        assert await i2v.app.store.counter_audits.full(limit=9) == []
    await backend.close()
