"""A vendor's webhook makes the provider poll immediately; a request from anyone else changes nothing."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from i2v.provider.v1 import provider_pb2 as pb

from tests.support.provider_and_simulator import Provided, a_task, provided
from tests.support.vendor_webhooks import post, signed
from tools.simulators.simulator import Simulator
from tools.simulators.wavespeed import SECRET
from tools.stack_process import free_port


@pytest_asyncio.fixture
async def hooked(tmp_path: Path) -> AsyncIterator[Provided]:
    """A provider that polls once a minute, or when a webhook arrives."""
    port = free_port()

    def change(values: dict[str, Any], simulator: Simulator) -> None:
        values |= {"webhook_listen": f"127.0.0.1:{port}", "webhook_url": f"http://127.0.0.1:{port}/hooks"}
        values |= {"look_every_s": 60.0, "webhook_secret": SECRET}

    async with provided("wavespeed", tmp_path, change=change) as made:
        yield made


async def test_a_webhook_makes_the_provider_poll_immediately(hooked: Provided) -> None:
    hooked.play(work_s=0.1)
    assert (await asyncio.wait_for(hooked.generate(), 20)).done
    assert hooked.simulator.counts["webhook-204"] == 1


async def test_a_webhook_gives_the_task_of_a_lost_submission(hooked: Provided) -> None:
    hooked.play(submit="lost", stay="work")
    assert (await hooked.generate()).end == ("ANSWER_LOST", "UNKNOWN")
    ref = next(iter(hooked.simulator.works))
    body = json.dumps({"id": ref, "status": "completed"}).encode()
    good, forged = signed(SECRET, body), signed("guessed", body)
    url = f"http://127.0.0.1:{hooked.app.webhook_port}/hooks/submission-1"
    assert await asyncio.to_thread(post, url, body, forged) == 401
    assert await asyncio.to_thread(post, url, body, {}) == 401
    assert (await hooked.find("submission-1", time.time())).outcome == pb.FindResponse.UNKNOWN
    assert await asyncio.to_thread(post, url, body, good) == 204
    found = await hooked.find("submission-1", time.time())
    assert (found.outcome, found.external_ref) == (pb.FindResponse.FOUND, ref)


async def answered(rig: Provided, submission_id: str, secret: str, ref: str, status: int) -> None:
    """Repeats a webhook until the answer has this status. Meanwhile the provider can receive what it waits for."""
    body = json.dumps({"id": ref}).encode()
    url = f"http://127.0.0.1:{rig.app.webhook_port}/hooks/{submission_id}"
    for _ in range(1000):
        if await asyncio.to_thread(post, url, body, signed(secret, body)) == status:
            return
    raise AssertionError(f"never answered by {status}")


async def found_at_last(rig: Provided, submission_id: str) -> str:
    """Waits until the provider knows the task of a submission, and returns it."""
    for _ in range(1000):
        found = await rig.find(submission_id, time.time())
        if found.outcome == pb.FindResponse.FOUND:
            return str(found.external_ref)
    raise AssertionError("never found")


@pytest_asyncio.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Provided]:
    """A provider that was started while the vendor was down, and has to request the secret."""
    port = free_port()

    def change(values: dict[str, Any], simulator: Simulator) -> None:
        values |= {"webhook_listen": f"127.0.0.1:{port}", "webhook_url": f"http://127.0.0.1:{port}/hooks"}
        simulator.scenario.secret = 503

    async with provided("wavespeed", tmp_path, change=change) as made:
        yield made


async def test_the_secret_is_requested_until_an_unavailable_vendor_answers(asking: Provided) -> None:
    asking.play(submit="lost", stay="work", secret=503)
    assert (await asking.generate(a_task("before"))).end == ("ANSWER_LOST", "UNKNOWN")
    await answered(asking, "before", SECRET, next(iter(asking.simulator.works)), 503)
    assert (await asking.find("before", time.time())).outcome == pb.FindResponse.UNKNOWN
    asking.play()
    assert await found_at_last(asking, "before") == next(iter(asking.simulator.works)), (
        "it came before the secret was known"
    )
    await answered(asking, "after", SECRET, "task-after", 204)
    assert asking.simulator.counts["secret"] > 1
    asked = asking.simulator.counts["secret"]
    assert (await asking.generate(a_task("later"))).done
    assert asking.simulator.counts["secret"] == asked


async def test_a_changed_secret_of_the_vendor_is_requested(asking: Provided) -> None:
    asking.play()
    await answered(asking, "first", SECRET, "task-1", 204)
    asking.simulator.secret = "whsec_another"
    await answered(asking, "second", "whsec_another", "task-2", 401)
    await answered(asking, "second", "whsec_another", "task-2", 204)
    assert await found_at_last(asking, "second") == "task-2"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n" + bytes(2_000_000), b"413"),
        (b"POST / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 5000, b"400"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", b"401"),
    ],
    ids=["method", "nonsense", "large", "headers", "unsigned"],
)
async def test_the_listener_accepts_nothing_else(hooked: Provided, sent: bytes, status: bytes) -> None:
    assert hooked.app.webhook_port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", hooked.app.webhook_port)
    try:
        writer.write(sent)
        assert (await asyncio.wait_for(reader.readline(), 10)).split()[1] == status
    finally:
        writer.close()
