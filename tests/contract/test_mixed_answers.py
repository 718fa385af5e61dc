"""An answer for another task or model counts as no answer: no customer gets another one's video or money."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from i2v.provider.v1 import provider_pb2 as pb

from services.providers.vendors import VENDORS
from services.rpc.status_codes import from_call
from tests.support.provider_and_simulator import KLING, Provided, a_task, length_s, provided, until
from tests.support.vendor_webhooks import post, signed
from tools.simulators.wavespeed import SECRET
from tools.stack_process import free_port

WAN = "alibaba/wan-2.5/image-to-video"


@pytest.fixture(params=sorted(VENDORS))
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def rig(vendor: str, tmp_path: Path) -> AsyncIterator[Provided]:
    async with provided(vendor, tmp_path) as made:
        yield made


def mixed(rig: Provided, kind: str) -> float:
    return rig.metric("i2v_vendor_mixed_answers_total", kind=kind)


@pytest.mark.parametrize("polls", [["other-task"], ["other-model"], ["no-id"], ["other-task", "500", "other-model"]])
async def test_an_answer_to_a_look_that_is_for_another_task_is_no_answer(rig: Provided, polls: list[str]) -> None:
    rig.play(polls=list(polls), work_s=0.05)
    received = await rig.generate()
    assert length_s(received.video) == pytest.approx(5, abs=0.3), "another task's is one second long"
    assert received.video == rig.simulator.video(rig.simulator.works[received.ref])
    assert mixed(rig, "look") == len(polls) - polls.count("500")
    assert rig.simulator.paid == 1


async def test_a_fal_result_for_another_task_is_ignored(tmp_path: Path) -> None:
    async with provided("fal", tmp_path) as rig:
        rig.play(polls=["", "other-task"])
        received = await rig.generate()
        assert length_s(received.video) == pytest.approx(5, abs=0.3)
        assert mixed(rig, "look") == 1


async def test_an_end_of_another_task_is_not_the_end_of_this_one(rig: Provided) -> None:
    """In particular an answer that says that nothing was charged."""
    rig.play(polls=["other-failed", "other-failed"], work_s=0.05)
    assert (await rig.generate()).done
    assert mixed(rig, "look") == 2


@pytest.mark.parametrize("submit", ["same-id", "other-model"])
async def test_an_answer_to_a_submission_that_is_for_another_task_is_a_lost_one(rig: Provided, submit: str) -> None:
    first = await rig.generate(a_task("first"))
    rig.play(submit=submit)
    assert (await rig.generate(a_task("second"))).end == ("ANSWER_LOST", "UNKNOWN")
    assert mixed(rig, "submit") == 1
    found = await rig.find("second", time.time())
    assert found.outcome == pb.FindResponse.UNKNOWN
    assert (await rig.find("first", time.time())).external_ref == first.ref
    assert rig.simulator.paid == 2


async def test_an_answer_to_a_cancel_that_is_for_another_task_stops_nothing(rig: Provided) -> None:
    rig.play(stay="queue")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    rig.simulator.works[ref].scenario.polls[:] = ["other-task"] * 1000
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.cancel(ref)
    assert from_call(caught.value).reason == "VENDOR_UNREACHABLE"
    kind = {"wavespeed": "look", "fal": "cancel"}[rig.vendor]
    assert mixed(rig, kind) >= 1
    rig.simulator.works[ref].scenario.polls.clear()
    rig.simulator.release()
    assert await until(call, "done")


async def test_no_call_attaches_to_a_task_under_another_model(tmp_path: Path) -> None:
    async with provided("wavespeed", tmp_path, change=lambda values, _: values.update(watch_s=0.3)) as rig:
        received = await rig.generate()
        again = await rig.attach(received.ref, "kling-2.5-turbo-std")
        assert again.end == ("TIMED_OUT", "UNKNOWN")
        assert again.failed.resumable


async def test_another_page_of_the_vendors_list_proves_nothing(tmp_path: Path) -> None:
    now = [time.time()]
    async with provided("wavespeed", tmp_path, clock=lambda: now[0]) as rig:
        await rig.generate(a_task("before"))
        next(iter(rig.simulator.works.values())).began -= 5000
        asked, now[0] = now[0], now[0] + 2400
        assert (await rig.find("other", asked)).outcome == pb.FindResponse.ABSENT
        rig.play(listed="other-page")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rig.find("other", asked)
        assert from_call(caught.value).reason == "VENDOR_UNREACHABLE"
        assert mixed(rig, "find") == 1


@pytest_asyncio.fixture
async def hooked(tmp_path: Path) -> AsyncIterator[Provided]:
    port = free_port()

    def change(values: dict[str, Any], simulator: object) -> None:
        values |= {"webhook_listen": f"127.0.0.1:{port}", "webhook_url": f"http://127.0.0.1:{port}/hooks"}
        values |= {"webhook_secret": SECRET}

    async with provided("wavespeed", tmp_path, change=change) as made:
        yield made


async def send_webhook(rig: Provided, submission_id: str, **body: str) -> int:
    """Sends a webhook as the vendor signs it."""
    url, data = f"http://127.0.0.1:{rig.app.webhook_port}/hooks/{submission_id}", json.dumps(body).encode()
    return await asyncio.to_thread(post, url, data, signed(SECRET, data))


async def found(rig: Provided, submission_id: str, model: str = "wan-2.5") -> str:
    return str((await rig.find(submission_id, time.time(), model)).external_ref)


async def test_a_webhook_for_another_task_tells_nothing_of_this_one(hooked: Provided) -> None:
    first = await hooked.generate(a_task("first"))
    hooked.play(submit="lost")
    assert (await hooked.generate(a_task("second"))).end == ("ANSWER_LOST", "UNKNOWN")
    lost = list(hooked.simulator.works)[-1]
    assert await send_webhook(hooked, "second", id=first.ref, model=WAN) == 204, "it is another submission's"
    assert await send_webhook(hooked, "second", id=lost, model="kwaivgi/kling-v2.5-turbo-std/image-to-video") == 204
    assert await send_webhook(hooked, "first", id="another-task", model=WAN) == 204, "the vendor's own answer counts"
    assert (await found(hooked, "second"), await found(hooked, "first")) == ("", first.ref)
    assert mixed(hooked, "webhook") == 3
    assert await send_webhook(hooked, "second", id=lost, model=WAN) == 204
    assert await found(hooked, "second") == lost
    assert mixed(hooked, "webhook") == 3


async def test_what_a_webhook_tells_of_anothers_submission_is_found_only_by_its_model(hooked: Provided) -> None:
    """The model of a submission by another replica, or from before a restart, comes with the request."""
    assert await send_webhook(hooked, "elsewhere", id="task-x", model=WAN) == 204
    assert await found(hooked, "elsewhere", KLING["model"]) == ""
    assert await found(hooked, "elsewhere") == "task-x"
    assert await send_webhook(hooked, "nameless", id="task-y") == 204
    assert await found(hooked, "nameless", KLING["model"]) == "task-y"
