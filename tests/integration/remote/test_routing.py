"""A capability in the place of a model: which vendor is asked, which is asked next, and when no other is."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from i2v.provider.v1 import provider_pb2
from i2v.v1 import catalog_pb2, job_pb2

from services.errors import Unavailable
from services.orchestrator.backends.provider_backend import ProviderBackend
from services.orchestrator.pace import Pace
from tests.support.pictures import a_picture
from tests.support.plan_files import plan_table
from tests.support.scripted_provider import Failed, Found, ScriptedProvider, a_failure, a_video, providing
from tests.support.served_orchestrator import GOLDEN, Served, caller, served, text_spec

State = job_pb2.Job


class Rig:
    def __init__(self) -> None:
        self.fal, self.wavespeed = ScriptedProvider(a_video()), ScriptedProvider(a_video())
        self.i2v: Served

    async def submit(self) -> job_pb2.Job:
        image = (await self.i2v.upload(a_picture(400, 400))).name
        moves = job_pb2.ImageToVideo(image=image, prompt="it moves")
        spec = job_pb2.JobSpec(capability="wan-2.5", image_to_video=moves, price_max=job_pb2.Money())
        spec.price_max.amount_micros = 500_000
        return await self.i2v.submit(spec)


@pytest.fixture
async def rig(database: str, tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig()

    plans = tmp_path / "plans.toml"
    plans.write_text("".join(plan_table(name, 9_000_000, 9) for name in ("test", "poor")))

    def change(values: dict[str, Any]) -> None:
        values |= {"providers": "wavespeed=127.0.0.1:9,fal=127.0.0.1:9", "find_s": 0.1, "silent_s": 0.6}
        values["plans_file"] = plans

    async with providing(rig.fal) as one, providing(rig.wavespeed) as two:
        backends = {"fal": ProviderBackend(one), "wavespeed": ProviderBackend(two)}
        slots = {name: (backend, 2) for name, backend in backends.items()}
        async with served(database, tmp_path, slots, change=change) as rig.i2v:
            yield rig
            assert await rig.i2v.app.store.counter_audits.full(limit=9) == []
        for backend in backends.values():
            await backend.close()


async def test_another_vendor_is_asked_when_nothing_was_charged(rig: Rig) -> None:
    rig.fal.refusals = [a_failure("RATE_LIMITED", Failed.NOT_CHARGED, retryable=True)]
    job = await rig.submit()
    assert (job.spec.model, job.spec.capability, job.quote.amount_micros) == ("fal-wan-2.5", "wan-2.5", 500_000)
    moved = (await rig.i2v.until(job.name, "rerouted")).rerouted
    assert (moved.before, moved.model, moved.error.reason) == ("fal-wan-2.5", "wavespeed-wan-2.5", "RATE_LIMITED")
    ended = await rig.i2v.ended(job.name)
    assert (ended.state, ended.spec.model, ended.charged.amount_micros) == (
        State.SUCCEEDED,
        "wavespeed-wan-2.5",
        500_000,
    )
    assert (len(rig.fal.submitted), len(rig.wavespeed.submitted)) == (1, 1)
    listed = await rig.i2v.catalog.ListModels(catalog_pb2.ListModelsRequest(), metadata=caller())
    model = {each.name: each.remote for each in listed.models}["models/fal-wan-2.5"]
    assert (model.availability, model.simulation) == (catalog_pb2.Model.Remote.AVAILABLE, True)


async def test_who_waits_for_another_vendor_sees_the_place_there(rig: Rig) -> None:
    rig.wavespeed.working.clear()
    image = (await rig.i2v.upload(a_picture(400, 400))).name
    direct = job_pb2.JobSpec(
        model="wavespeed-wan-2.5", image_to_video=job_pb2.ImageToVideo(image=image, prompt="it moves")
    )
    for job in [await rig.i2v.submit(direct) for _ in range(2)]:
        await rig.i2v.until(job.name, "accepted")
    rig.fal.refusals = [a_failure("RATE_LIMITED", Failed.NOT_CHARGED, retryable=True)]
    moved = await rig.submit()
    await rig.i2v.until(moved.name, "rerouted")
    async with asyncio.timeout(90):
        async for answer in rig.i2v.jobs.WatchJob(job_pb2.WatchJobRequest(name=moved.name), metadata=caller()):
            if answer.HasField("heartbeat") and answer.heartbeat.queue_place == 1:
                break
    rig.wavespeed.working.set()
    assert (await rig.i2v.ended(moved.name)).state == State.SUCCEEDED


async def test_nobody_else_is_asked_while_an_outcome_is_unknown(rig: Rig) -> None:
    rig.fal.losses = 1
    job = await rig.submit()
    await rig.i2v.until(job.name, "reconciling")
    rig.fal.finding, rig.fal.found_ref = Found.FOUND, "task-1"
    ended = await rig.i2v.ended(job.name)
    assert (ended.state, ended.spec.model, rig.wavespeed.submitted) == (State.SUCCEEDED, "fal-wan-2.5", [])


async def test_who_takes_no_work_is_passed_over_and_the_last_one_is_waited_for(rig: Rig) -> None:
    for vendor in (rig.fal, rig.wavespeed):
        vendor.capabilities = provider_pb2.Capabilities(availability=provider_pb2.Capabilities.NO_CREDIT)
    job = await rig.submit()
    assert (await rig.i2v.until(job.name, "retrying")).retrying.error.reason == "NO_CREDIT"
    assert rig.fal.submitted == rig.wavespeed.submitted == []
    for vendor in (rig.fal, rig.wavespeed):
        vendor.capabilities = provider_pb2.Capabilities(availability=provider_pb2.Capabilities.AVAILABLE)
    ended = await rig.i2v.ended(job.name)
    assert (ended.state, ended.spec.model) == (State.SUCCEEDED, "wavespeed-wan-2.5")
    events = [event async for event in rig.i2v.watch(ended.name)]
    assert sum(event.HasField("rerouted") for event in events) == 1
    assert (len(rig.fal.submitted), len(rig.wavespeed.submitted)) == (0, 1)


def card(name: str, backend: str, timeout_s: int) -> str:
    card = (GOLDEN / "remote.toml").read_text().replace("remote-text", name)
    return card.replace('"vendor"', f'"{backend}"').replace(
        "default_timeout_s = 60", f"default_timeout_s = {timeout_s}"
    )


async def test_the_deadline_has_room_for_the_slowest_that_may_be_asked(database: str, tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(card("quick", "one", 60) + card("slow", "two", 90))
    quick, slow = ScriptedProvider(a_video()), ScriptedProvider(a_video())
    quick.refusals = [a_failure("NO_CREDIT", Failed.NOT_CHARGED)]
    async with providing(quick) as one, providing(slow) as two:
        slots = {"one": (ProviderBackend(one), 1), "two": (ProviderBackend(two), 1)}

        def change(values: dict[str, Any]) -> None:
            values["models_file"] = tmp_path / "models.toml"

        async with served(database, tmp_path, slots, change=change) as i2v:
            spec = text_spec(seconds=5, model="", capability="test")
            job = await i2v.submit(spec)
            assert (job.spec.model, job.spec.timeout.seconds) == ("quick", 90)
            assert (job.expire_time.ToDatetime() - job.create_time.ToDatetime()).total_seconds() == 90
            ended = await i2v.ended(job.name)
            assert (ended.state, ended.spec.model, ended.expire_time) == (State.SUCCEEDED, "slow", job.expire_time)
            spec.timeout.seconds = 30
            assert (await i2v.submit(spec)).spec.timeout.seconds == 30, "as it was asked for"
        for backend, _ in slots.values():
            await backend.close()


async def test_a_provider_of_another_vendor_or_without_the_model_gets_no_task(database: str, tmp_path: Path) -> None:
    pace = Pace(vendor_look_s=0.05)
    (tmp_path / "models.toml").write_text(card("quick", "one", 60))
    vendor = ScriptedProvider(a_video())
    vendor.capabilities.vendor = "two"

    def change(values: dict[str, Any]) -> None:
        values["models_file"] = tmp_path / "models.toml"

    async with providing(vendor) as address:
        backend = ProviderBackend(address, vendor="one", models=lambda: {"text"})
        async with served(database, tmp_path, {"one": (backend, 1)}, change=change, pace=pace) as i2v:

            async def shown(reason: str, state: Any = catalog_pb2.Model.Remote.UNREACHABLE) -> None:
                for _ in range(1000):
                    (model,) = (await i2v.catalog.ListModels(catalog_pb2.ListModelsRequest(), metadata=caller())).models
                    if reason == model.remote.availability_reason:
                        break
                    await asyncio.sleep(0.05)
                assert (model.remote.availability, model.remote.availability_reason) == (state, reason)

            job = await i2v.submit(text_spec(seconds=5, model="quick"))
            error = (await i2v.until(job.name, "retrying")).retrying.error
            assert (error.reason, error.message) == (
                "PROVIDER_MISMATCH",
                "What answers here speaks with 'two', not with 'one'.",
            )
            await shown(error.message)
            vendor.capabilities.vendor, vendor.capabilities.models[:] = "one", ["other"]
            await shown("The provider does not know this model.")
            with pytest.raises(Unavailable, match="does not know the model 'text'"):
                await backend.check()
            assert vendor.submitted == []
            vendor.capabilities.models[:] = ["other", "text"]
            assert (await i2v.ended(job.name)).state == State.SUCCEEDED
            await shown("", catalog_pb2.Model.Remote.AVAILABLE)
        await backend.close()


async def test_an_open_circuit_breaker_is_in_the_catalog(database: str, tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(card("quick", "one", 60))
    broken = ScriptedProvider(a_video())
    broken.capabilities = provider_pb2.Capabilities(
        availability=provider_pb2.Capabilities.BROKEN, reason="The vendor failed too often lately.", simulation=True
    )
    async with providing(broken) as address:
        backend = ProviderBackend(address)

        def change(values: dict[str, Any]) -> None:
            values["models_file"] = tmp_path / "models.toml"

        async with served(database, tmp_path, {"one": (backend, 1)}, change=change) as i2v:
            # It is asked at the start, and an answer of it comes with the first attempt at the latest.
            job = await i2v.submit(text_spec(seconds=5, model="quick"))
            assert (await i2v.until(job.name, "retrying")).retrying.error.reason == "CIRCUIT_OPEN"
            (model,) = (await i2v.catalog.ListModels(catalog_pb2.ListModelsRequest(), metadata=caller())).models
            assert model.remote.availability == catalog_pb2.Model.Remote.BROKEN
            assert (model.remote.availability_reason, model.remote.simulation) == (broken.capabilities.reason, True)
            await i2v.cancel(job.name)
            assert broken.submitted == []
        await backend.close()
