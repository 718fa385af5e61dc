"""Remote models with every program a process of its own: each operation, each death of a worker, each second chance."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from i2v.admin.v1 import reconcile_pb2, reconcile_pb2_grpc
from i2v.v1 import job_pb2

from i2v_client import AsyncClient
from i2v_client.errors import NotFound
from services.orchestrator.media.probe import probe_output
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.programs import OPERATORS, World, world
from tests.support.provider_and_simulator import picture, sound
from tools.simulators.scenario import Scenario

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

State = job_pb2.Job
PICTURE = picture(480, 360)
SECONDS = 5


@pytest.fixture
async def remote(database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(database, tmp_path) as running:
        yield running


@pytest.fixture
async def audited(store: PostgresStore) -> AsyncIterator[PostgresStore]:
    """The books are right when the test has ended."""
    yield store
    assert await store.counter_audits.full(limit=9) == []


def client(remote: World, address: str) -> AsyncClient:
    return AsyncClient(address, remote.key, "ann")


async def upload(i2v: AsyncClient, data: bytes) -> str:
    return (await i2v.upload(data)).name


async def image_to_video(
    i2v: AsyncClient, model: str = "wavespeed-wan-2.5", resolution: str = "480p"
) -> job_pb2.JobSpec:
    moves = job_pb2.ImageToVideo(image=await upload(i2v, PICTURE), prompt="the boat rocks gently")
    return job_pb2.JobSpec(model=model, resolution=resolution, image_to_video=moves)


async def scene_animation(i2v: AsyncClient) -> job_pb2.JobSpec:
    scene = job_pb2.SceneAnimation(
        image=await upload(i2v, PICTURE),
        scene="An old boat lies at the pier and moves with the swell",
        story="A fisherman comes home after years",
        details={"mood": "calm"},
    )
    return job_pb2.JobSpec(model="wavespeed-kling-2.5-turbo-std", scene_animation=scene)


async def talking_avatar(i2v: AsyncClient) -> job_pb2.JobSpec:
    talks = job_pb2.TalkingAvatar(
        image=await upload(i2v, PICTURE), audio=await upload(i2v, sound(6.5)), prompt="a fisherman tells of the sea"
    )
    return job_pb2.JobSpec(model="wavespeed-infinitetalk", resolution="480p", talking_avatar=talks)


async def ended(i2v: AsyncClient, name: str) -> job_pb2.Job:
    async for _ in i2v.watch(name):
        pass
    return await i2v.get(name)


async def until(i2v: AsyncClient, name: str, kind: str, stage: str = "") -> job_pb2.JobEvent:
    async for event in i2v.watch(name):
        if event.WhichOneof("event") == kind and stage in ("", event.progressed.stage):
            return event
    raise AssertionError(f"{name} ended without {kind}")


@pytest.mark.parametrize(
    ("ask", "model", "price", "seconds"),
    [
        (image_to_video, "wavespeed-wan-2.5", 250_000, SECONDS),
        (lambda i2v: image_to_video(i2v, "wavespeed-kandinsky-5-pro", "512p"), "", 200_000, SECONDS),
        (lambda i2v: image_to_video(i2v, "fal-wan-2.5"), "", 250_000, SECONDS),
        (scene_animation, "", 210_000, SECONDS),
        (talking_avatar, "", 210_000, 6.5),
    ],
    ids=["wan", "kandinsky", "fal-wan", "scene-animation", "talking-avatar"],
)
async def test_every_operation_makes_a_video_that_is_what_was_asked_for(
    remote: World, audited: PostgresStore, tmp_path: Path, ask: Any, model: str, price: int, seconds: float
) -> None:
    async with remote.orchestrator("all") as i2v_process, client(remote, i2v_process.address) as i2v:
        job = await ended(i2v, (await i2v.submit(await ask(i2v))).name)
        assert job.state == State.SUCCEEDED, (job.error, i2v_process.log.read_text()[-3000:])
        out = tmp_path / "out.mp4"
        assert await i2v.download(job.output.asset, out) == out.stat().st_size
        found = probe_output(out)
        assert found.duration_s == pytest.approx(seconds, abs=0.3)
        assert (found.width, found.height) == (job.output.size.width, job.output.size.height)
        usage = await i2v.usage()
        written = job.prompt if job.spec.WhichOneof("operation") == "scene_animation" else ""
        assert bool(written) == bool(remote.llm.calls)
        extra = job.charged.amount_micros - price
        assert 0 < extra <= 20_000 if written else extra == 0
        assert (usage.user.reserved.amount_micros, usage.user.spent.amount_micros) == (0, price + extra)
        if job.spec.HasField("talking_avatar"):
            assert found.audio_s == pytest.approx(6.5, abs=0.3)
        if written:
            assert "boat" in written and remote.wavespeed.submitted[0]["prompt"] == written
        assert remote.wavespeed.paid + remote.fal.paid == 1
        models = {each.name: each for each in await i2v.models()}
        assert models["models/wavespeed-wan-2.5"].remote.simulation


DEATHS = ("submitting", "accepted", "working", "downloading", "charged", "released")
"""Where the paid call of a job is when its worker dies."""


@pytest.mark.parametrize("where", DEATHS)
@pytest.mark.parametrize("name", ["wavespeed", "fal"])
async def test_a_worker_that_is_killed_anywhere_leaves_one_paid_request(
    remote: World, audited: PostgresStore, name: str, where: str
) -> None:
    vendor = {"wavespeed": remote.wavespeed, "fal": remote.fal}[name]
    vendor.scenario = {
        "submitting": Scenario(submit="hold"),
        "accepted": Scenario(stay="queue"),
        "working": Scenario(stay="work"),
        "downloading": Scenario(output="stall"),
        "charged": Scenario(),
        "released": Scenario(submit="refused", status=429),
    }[where]
    async with remote.orchestrator("api") as api, client(remote, api.address) as i2v:
        job = await i2v.submit(await image_to_video(i2v, f"{name}-wan-2.5"))
        async with remote.orchestrator("worker") as worker:
            match where:
                case "submitting":
                    await until(i2v, job.name, "submitting")
                    await vendor.arrived.wait()
                case "accepted" | "released":
                    await until(i2v, job.name, where)
                case "working" | "downloading":
                    await until(i2v, job.name, "progressed", "vendor-work" if where == "working" else "download")
                case _:
                    assert (await ended(i2v, job.name)).state == State.SUCCEEDED
            await worker.kill()
        vendor.scenario = Scenario()
        vendor.held.set()
        vendor.release()
        for work in vendor.works.values():
            work.scenario.output = ""
        async with remote.orchestrator("worker"):
            last = await ended(i2v, job.name)
        assert (last.state, last.charged.amount_micros, len(vendor.works)) == (State.SUCCEEDED, 250_000, 1), last.error
        assert vendor.paid == (2 if where == "released" else 1)  # the first of the two was refused


async def test_a_worker_that_is_killed_while_nobody_knows_leaves_it_to_the_operator(
    remote: World, audited: PostgresStore
) -> None:
    vendor = remote.wavespeed
    vendor.scenario = Scenario(submit="lost")
    async with remote.orchestrator("api") as api, client(remote, api.address) as i2v:
        job = await i2v.submit(await image_to_video(i2v))
        async with remote.orchestrator("worker") as worker:
            await until(i2v, job.name, "reconciling")
            await worker.kill()
        async with remote.orchestrator("worker"), AsyncClient(api.address, OPERATORS) as operator:
            stub: Any = reconcile_pb2_grpc.ReconcileServiceStub(operator.channel())
            listed = await operator.call(stub.ListPaidCalls, reconcile_pb2.ListPaidCallsRequest())
            assert [each.job for each in listed.paid_calls] == [job.name]
            (ref,) = vendor.works
            request = reconcile_pb2.AttachPaidCallRequest(job=job.name, external_ref=ref)
            await operator.call(stub.AttachPaidCall, request)
            last = await ended(i2v, job.name)
        assert (last.state, last.charged.amount_micros, vendor.paid) == (State.SUCCEEDED, 250_000, 1)


async def test_a_job_that_timed_out_is_resumed_for_nothing_and_without_a_second_request(
    database: str, tmp_path: Path, audited: PostgresStore
) -> None:
    async with world(database, tmp_path, WATCH_S="1") as remote:
        remote.wavespeed.scenario = Scenario(stay="work")
        async with remote.orchestrator("all") as process, client(remote, process.address) as i2v:
            job = await ended(i2v, (await i2v.submit(await image_to_video(i2v))).name)
            assert (job.state, job.error.reason, job.error.resumable) == (State.FAILED, "TIMED_OUT", True)
            async with AsyncClient(process.address, remote.key, "bob") as stranger:
                with pytest.raises(NotFound):
                    await stranger.resume(job.name)
            remote.wavespeed.release()
            resumed = await ended(i2v, (await i2v.resume(job.name)).name)
            assert (resumed.state, resumed.charged.amount_micros) == (State.SUCCEEDED, 0)
            assert await i2v.download(resumed.output.asset, tmp_path / "out.mp4") > 0
            assert (remote.wavespeed.paid, (await i2v.usage()).user.spent.amount_micros) == (1, 250_000)
