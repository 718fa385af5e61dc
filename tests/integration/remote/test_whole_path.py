"""From a scene to a video through every process of ours, with simulators in the place of vendor and language model."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from i2v.v1 import asset_pb2, job_pb2

from tests.support import sounds
from tests.support.pictures import a_picture
from tests.support.provider_and_simulator import Provided
from tests.support.served_orchestrator import Served, caller, served
from tests.support.simulated_vendors import simulated_vendors
from tools.simulators.llm import FAULTS, LlmSimulator

State = job_pb2.Job


@dataclass
class Whole:
    """The ends of it."""

    i2v: Served
    vendor: Provided
    llm: LlmSimulator

    async def picture(self, width: int = 400, height: int = 300) -> str:
        return (await self.i2v.upload(a_picture(width, height))).name

    async def animated(self) -> job_pb2.Job:
        scene = job_pb2.SceneAnimation(image=await self.picture(), scene="A wave.")
        spec = job_pb2.JobSpec(model="wavespeed-kling-2.5-turbo-std", scene_animation=scene)
        return await self.i2v.ended((await self.i2v.submit(spec)).name)


@pytest.fixture
async def whole(database: str, tmp_path: Path) -> AsyncIterator[Whole]:
    async with (
        simulated_vendors(tmp_path, ["wavespeed"]) as vendors,
        served(database, tmp_path, vendors.backends, change=lambda values: values.update(vendors.settings)) as i2v,
    ):
        yield Whole(i2v, vendors.providers["wavespeed"], vendors.llm)
        assert await i2v.app.store.counter_audits.full(limit=9) == []


async def test_a_masked_avatar_speaks_by_a_written_prompt_and_what_came_short_is_told(whole: Whole) -> None:
    whole.vendor.play(video_s=4.0, silent=True)
    voice = (await whole.i2v.upload(sounds.a_sound("audio/wav", 6.2), "audio/wav")).name
    image, mask = await whole.picture(), (await whole.i2v.upload(a_picture(400, 300, "L"))).name
    avatar = job_pb2.TalkingAvatar(image=image, audio=voice, mask=mask, scene="She greets her guests.")
    spec = job_pb2.JobSpec(model="wavespeed-infinitetalk", talking_avatar=avatar, resolution="480p")
    ended = await whole.i2v.ended((await whole.i2v.submit(spec)).name)
    assert (ended.state, ended.charged.amount_micros > 7 * 30_000) == (State.SUCCEEDED, True), (
        "the words cost something"
    )
    (sent,) = whole.vendor.simulator.submitted
    assert (sent["prompt"], whole.vendor.simulator.paid) == (ended.prompt, 1)
    assert sent["mask_image"].startswith("data:image/") and sent["mask_image"] != sent["image"]
    warnings = [event.warned.reason async for event in whole.i2v.watch(ended.name) if event.HasField("warned")]
    assert warnings == ["OUTPUT_LENGTH", "OUTPUT_SILENT"]
    asset = await whole.i2v.assets.GetAsset(asset_pb2.GetAssetRequest(name=ended.output.asset), metadata=caller())
    assert (asset.promised["model"], asset.duration.seconds) == ("wavespeed-ai/infinitetalk", 4)


@pytest.mark.parametrize(("faults", "cost"), [(["quota"], 0), (["garbage", "quota"], 45)])
async def test_a_language_model_whose_quota_is_used_up_is_an_error_to_the_end(
    whole: Whole, faults: list[str], cost: int
) -> None:
    """No template stands in, no vendor is paid, and what an answer cost that could not be used is on the ledger."""
    whole.llm.script.extend(FAULTS[name] for name in faults)
    ended = await whole.animated()
    assert (ended.state, ended.error.reason, ended.prompt) == (State.FAILED, "LLM_QUOTA", "")
    assert (len(whole.llm.calls), whole.vendor.simulator.paid) == (len(faults), 0)
    usage = await whole.i2v.usage()
    assert (ended.charged.amount_micros, usage.user.spent.amount_micros) == (cost, cost)
    assert usage.user.reserved.amount_micros == 0
