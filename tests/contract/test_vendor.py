"""What every vendor keeps, whatever happens: one suite, over real sockets, against each vendor's simulator.

Whatever a case does to it, the one thing that is counted at its end is how often the vendor was asked for paid work.
"""

import hashlib
import logging
import shutil
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from i2v.provider.v1 import provider_pb2 as pb
from prometheus_client import generate_latest

from services.providers.vendors import VENDORS
from services.rpc.logs import JsonLines
from services.rpc.status_codes import from_call
from tests.support.provider_and_simulator import Provided, a_task, length_s, provided, until
from tools.simulators.simulator import Simulator


@pytest.fixture(params=sorted(VENDORS))
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def rig(vendor: str, tmp_path: Path) -> AsyncIterator[Provided]:
    async with provided(vendor, tmp_path) as made:
        yield made


@pytest_asyncio.fixture
async def hasty(vendor: str, tmp_path: Path) -> AsyncIterator[Provided]:
    """One that soon believes a vendor that denies a task."""
    async with provided(vendor, tmp_path, missing_s=0.1) as made:
        yield made


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else can take meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


# --- a vendor that works --------------------------------------------------------------------------------------------


async def test_a_task_becomes_a_video(rig: Provided) -> None:
    told = await rig.generate()
    assert told.kinds == ["accepted", "progress", "output", "done"]
    assert told.done.size_bytes == len(told.video)
    assert told.done.sha256 == hashlib.sha256(told.video).hexdigest()
    assert length_s(told.video) == pytest.approx(5, abs=0.3)
    assert told.done.facts.model
    assert rig.simulator.paid == 1
    assert list(rig.data.rglob("task-*")) == []
    assert rig.metric("i2v_vendor_tasks_total", model="wan-2.5", reason="", charge="charged") == 1
    assert rig.metric("i2v_vendor_tasks_open") == 0


async def test_a_slow_vendor_is_waited_for(rig: Provided) -> None:
    rig.play(stay="queue")
    call = rig.start()
    await until(call, "progress", "vendor-queue")
    rig.simulator.scenario.stay = "work"
    await until(call, "progress", "vendor-work")
    rig.simulator.release()
    await until(call, "progress", "download")
    assert await until(call, "done")
    assert rig.simulator.paid == 1


@pytest.mark.parametrize(
    ("submit", "end"),
    [
        ("moderation", ("MODERATION", "NOT_CHARGED")),
        ("bad-key", ("BAD_KEY", "NOT_CHARGED")),
        ("no-credit", ("NO_CREDIT", "NOT_CHARGED")),
        ("lost", ("ANSWER_LOST", "UNKNOWN")),
        ("hang", ("ANSWER_LOST", "UNKNOWN")),
        ("half", ("ANSWER_LOST", "UNKNOWN")),
        ("garbage", ("ANSWER_LOST", "UNKNOWN")),
        ("no-id", ("ANSWER_LOST", "UNKNOWN")),
        ("bad-id", ("ANSWER_LOST", "UNKNOWN")),
        ("types", ("ANSWER_LOST", "UNKNOWN")),
        ("deep", ("ANSWER_LOST", "UNKNOWN")),
        ("huge", ("ANSWER_LOST", "UNKNOWN")),
    ],
)
async def test_a_submission_that_is_not_answered_by_a_task_is_never_made_again(
    rig: Provided, submit: str, end: tuple[str, str]
) -> None:
    rig.play(submit=submit)
    told = await rig.generate(a_task())
    assert told.kinds == ["failed"]
    assert told.end == end
    assert not told.failed.resumable
    assert rig.simulator.paid == 1


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (302, ("ANSWER_LOST", "UNKNOWN")),
        (400, ("VENDOR_REFUSED", "NOT_CHARGED")),
        (401, ("BAD_KEY", "NOT_CHARGED")),
        (402, ("NO_CREDIT", "NOT_CHARGED")),
        (403, ("VENDOR_REFUSED", "NOT_CHARGED")),
        (404, ("VENDOR_REFUSED", "NOT_CHARGED")),
        (408, ("ANSWER_LOST", "UNKNOWN")),
        (422, ("VENDOR_REFUSED", "NOT_CHARGED")),
        (425, ("VENDOR_REFUSED", "NOT_CHARGED")),
        (429, ("RATE_LIMITED", "NOT_CHARGED")),
        (500, ("VENDOR_DOWN", "UNKNOWN")),
        (502, ("VENDOR_DOWN", "UNKNOWN")),
        (503, ("VENDOR_DOWN", "UNKNOWN")),
        (504, ("VENDOR_DOWN", "UNKNOWN")),
    ],
)
async def test_the_status_of_a_refusal_says_whether_it_was_paid_for(
    rig: Provided, status: int, end: tuple[str, str]
) -> None:
    rig.play(submit="refused", status=status)
    told = await rig.generate()
    assert told.end == end
    assert not told.failed.HasField("retry_delay")
    assert told.failed.retryable == (end[1] == "NOT_CHARGED" and end[0] != "VENDOR_REFUSED")
    assert rig.simulator.paid == 1
    assert rig.metric("i2v_vendor_tasks_total", model="wan-2.5", reason=end[0], charge=end[1].lower().replace("_", "-"))


@pytest.mark.parametrize(
    ("status", "words", "reason", "shown"),
    [
        (401, "no", "BAD_KEY", pb.Capabilities.NO_KEY),
        (402, "no", "NO_CREDIT", pb.Capabilities.NO_CREDIT),
        (403, "Invalid API key", "BAD_KEY", pb.Capabilities.NO_KEY),
        (403, "This token has expired.", "BAD_KEY", pb.Capabilities.NO_KEY),
        (403, "User is locked. Reason: see support", "BAD_KEY", pb.Capabilities.NO_KEY),
        (403, "Your balance is exhausted", "NO_CREDIT", pb.Capabilities.NO_CREDIT),
        (403, "", "VENDOR_REFUSED", pb.Capabilities.AVAILABLE),
        (403, "This API key has no access to that model", "VENDOR_REFUSED", pb.Capabilities.AVAILABLE),
        (403, "The key frame is too dark", "VENDOR_REFUSED", pb.Capabilities.AVAILABLE),
        (400, "Invalid API key", "VENDOR_REFUSED", pb.Capabilities.AVAILABLE),
    ],
)
async def test_a_refusal_of_one_task_speaks_for_the_account_only_where_it_says_so(
    rig: Provided, status: int, words: str, reason: str, shown: int
) -> None:
    rig.play(submit="refused", status=status, words=words)
    assert (await rig.generate()).end == (reason, "NOT_CHARGED")
    assert (await rig.capabilities()).availability == shown


@pytest.mark.parametrize(("status", "reason"), [(400, "VENDOR_REFUSED"), (408, "VENDOR_DOWN"), (503, "VENDOR_DOWN")])
async def test_an_input_that_cannot_be_uploaded_costs_nothing(
    tmp_path: Path, vendor: str, status: int, reason: str
) -> None:
    async with provided(vendor, tmp_path, change=lambda values, _: values.update(inline_bytes=10)) as rig:
        rig.play(upload=status)
        told = await rig.generate()
        assert (told.end, told.failed.retryable) == ((reason, "NOT_CHARGED"), reason == "VENDOR_DOWN")
        assert rig.simulator.paid == 0
        rig.play()
        assert (await rig.generate()).done


async def test_words_that_no_protobuf_takes_are_a_refusal_all_the_same(rig: Provided) -> None:
    rig.play(submit="refused", status=400, words="no \ud800\x00")
    told = await rig.generate()
    assert told.end == ("VENDOR_REFUSED", "NOT_CHARGED")
    assert told.failed.message.endswith("no ?…")


@pytest.mark.parametrize("encoding", ["raw", "utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
async def test_words_in_hostile_bytes_are_a_refusal_all_the_same_and_hide_no_key(rig: Provided, encoding: str) -> None:
    rig.play(submit="refused", status=400, encoding=encoding, words=f"no \ud800 to {rig.simulator.key}")
    told = await rig.generate()
    assert told.end == ("VENDOR_REFUSED", "NOT_CHARGED")
    assert rig.simulator.key not in told.failed.message
    assert ("[key]" in told.failed.message) == encoding.endswith(("raw", "8-sig"))


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("999999", 3600), ("Thu, 01 Jan 1970 00:00:09 GMT", 0)])
async def test_a_full_vendor_says_when_to_come_again(rig: Provided, header: str, seconds: int) -> None:
    rig.play(submit="refused", status=429, retry_after=header)
    failed = (await rig.generate()).failed
    assert (failed.reason, failed.retryable, failed.retry_delay.seconds) == ("RATE_LIMITED", True, seconds)
    assert rig.simulator.paid == 1


@pytest.mark.parametrize("header", ["soon", "-1", "1" * 30, "١"])
async def test_a_nonsensical_retry_after_is_passed_over(rig: Provided, header: str) -> None:
    rig.play(submit="refused", status=429, retry_after=header)
    assert not (await rig.generate()).failed.HasField("retry_delay")


@pytest.mark.parametrize("how", ["refused", "no-tls", "no-name"])
async def test_a_vendor_that_is_not_reached_has_charged_nothing(
    how: str, tmp_path: Path, vendor: str, closed_port: int
) -> None:
    def change(values: dict[str, Any], simulator: Simulator) -> None:
        urls = {
            "refused": f"http://127.0.0.1:{closed_port}",
            "no-tls": f"https://127.0.0.1:{simulator.port}",
            "no-name": "https://vendor.invalid",
        }
        values["url"] = urls[how]

    async with provided(vendor, tmp_path, change=change) as rig:
        told = await rig.generate()
        assert told.end == ("VENDOR_DOWN", "NOT_CHARGED")
        assert told.failed.retryable
        assert rig.simulator.paid == 0


async def test_a_caller_that_goes_while_the_task_is_submitted_loses_nothing(rig: Provided) -> None:
    rig.play(submit="hold")
    call = rig.start()
    await rig.simulator.arrived.wait()
    call.cancel()
    told = await rig.find("submission-1", time.time())
    assert (told.outcome, told.HasField("refund_window")) == (pb.FindResponse.UNKNOWN, False), "it is under way"
    rig.simulator.held.set()
    for _ in range(1000):  # Each is a call of its own, and the answer is on its way.
        found = await rig.find("submission-1", time.time())
        if found.outcome != pb.FindResponse.UNKNOWN:
            break
    assert found.outcome == pb.FindResponse.FOUND
    told = await rig.attach(found.external_ref)
    assert told.done
    assert rig.simulator.paid == 1


async def test_what_is_not_found_comes_with_the_refund_that_the_vendor_promises(rig: Provided) -> None:
    rig.play(submit="lost")
    assert (await rig.generate()).end == ("ANSWER_LOST", "UNKNOWN")
    told = await rig.find("submission-1", time.time())
    assert told.outcome == pb.FindResponse.UNKNOWN
    promised = told.refund_window.ToSeconds() if told.HasField("refund_window") else None
    assert promised == {"wavespeed": 3 * 3600, "fal": None}[rig.vendor]


async def test_a_submission_is_not_made_twice_under_one_id(rig: Provided) -> None:
    await rig.generate()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.generate()
    # Not NOTHING_SUBMITTED, at which the orchestrator would give the first one's money back.
    assert from_call(caught.value).reason == "SUBMITTED_BEFORE"
    rig.play(submit="lost")
    assert (await rig.generate(a_task("other"))).end == ("ANSWER_LOST", "UNKNOWN")
    rig.play()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.generate(a_task("other"))
    assert from_call(caught.value).reason == "SUBMITTED_BEFORE"
    assert rig.simulator.paid == 2


async def test_a_disk_that_takes_no_inputs_submits_nothing(rig: Provided) -> None:
    shutil.rmtree(rig.data)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.generate()
    assert (caught.value.code(), from_call(caught.value).reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "NOTHING_SUBMITTED",
    )
    assert rig.simulator.paid == 0


async def test_what_was_certainly_not_taken_may_be_submitted_again_under_the_same_id(rig: Provided) -> None:
    rig.play(submit="refused", status=429)
    assert (await rig.generate()).end == ("RATE_LIMITED", "NOT_CHARGED")
    rig.play()
    assert (await rig.generate()).done
    assert rig.simulator.paid == 2


# --- looks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "looks",
    [
        ["500", "502", "503", "504"],
        ["429", "429"],
        ["404", "404"],
        ["418"],
        ["403"],
        ["lost", "lost"],
        ["hang"],
        ["garbage"],
        ["types"],
        ["deep"],
        ["huge"],
        ["500", "lost", "garbage", "429", "types", "404", "deep"],
    ],
)
async def test_trouble_with_a_look_changes_nothing(rig: Provided, looks: list[str]) -> None:
    rig.play(looks=list(looks), work_s=0.05)
    told = await rig.generate()
    assert told.done
    assert rig.simulator.scenario.looks == []
    assert rig.simulator.paid == 1


async def test_a_vendor_that_asks_for_patience_while_it_is_looked_at_gets_it(rig: Provided) -> None:
    rig.play(looks=["429"], retry_after="1")
    before = time.monotonic()
    assert (await rig.generate()).done
    assert time.monotonic() - before >= 0.9


async def test_an_endless_fault_ends_with_a_task_that_can_be_resumed(tmp_path: Path, vendor: str) -> None:
    async with provided(vendor, tmp_path, change=lambda values, _: values.update(watch_s=0.3)) as rig:
        rig.play(looks=["500"] * 1000)
        told = await rig.generate()
        assert told.end == ("TIMED_OUT", "UNKNOWN")
        assert told.failed.resumable
        rig.simulator.works[told.ref].scenario.looks.clear()
        assert (await rig.attach(told.ref)).done
        assert rig.simulator.paid == 1


async def test_patience_that_ends_leaves_a_task_that_can_be_resumed(tmp_path: Path, vendor: str) -> None:
    async with provided(vendor, tmp_path, change=lambda values, _: values.update(watch_s=0.2)) as rig:
        rig.play(stay="work")
        told = await rig.generate()
        assert told.end == ("TIMED_OUT", "UNKNOWN")
        assert told.failed.resumable
        rig.simulator.release()
        again = await rig.attach(told.ref)
        assert again.kinds == ["accepted", "progress", "output", "done"]
        assert again.ref == told.ref
        assert rig.simulator.paid == 1


@pytest.mark.parametrize(
    ("state", "reason", "charges"),
    [
        ("failed", "TASK_FAILED", {"NOT_CHARGED"}),
        ("cancelled", "TASK_CANCELLED", {"UNKNOWN"}),
        ("timeout", "TASK_FAILED", {"UNKNOWN", "NOT_CHARGED"}),
        ("deleted", "TASK_GONE", {"UNKNOWN"}),
        ("moderation", "MODERATION", {"UNKNOWN", "NOT_CHARGED"}),
    ],
)
async def test_a_task_that_the_vendor_ends_without_a_video_is_over(
    hasty: Provided, state: str, reason: str, charges: set[str]
) -> None:
    rig = hasty
    rig.play(end=state, work_s=0.03)
    told = await rig.generate()
    assert told.end[0] == reason
    assert told.end[1] in charges
    # fal says of what was deleted that it does not know it, and may know it again.
    assert told.failed.resumable == (state == "deleted" and rig.vendor == "fal")
    assert (await rig.attach(told.ref)).end == told.end
    assert rig.simulator.paid == 1


async def test_a_vendor_that_is_done_but_has_no_video_is_asked_until_patience_ends(tmp_path: Path, vendor: str) -> None:
    async with provided(vendor, tmp_path, change=lambda values, _: values.update(watch_s=0.2)) as rig:
        rig.play(end="no-output")
        assert (await rig.generate()).end == ("TIMED_OUT", "UNKNOWN")
        assert rig.simulator.paid == 1


async def test_a_key_that_is_withdrawn_at_work_leaves_a_task_that_can_be_resumed(rig: Provided) -> None:
    rig.play(stay="work")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    key, rig.simulator.key = rig.simulator.key, "another"
    failed = (await until(call, "failed")).failed
    assert (failed.reason, failed.resumable, failed.retryable) == ("BAD_KEY", True, True)
    rig.simulator.key = key
    rig.simulator.release()
    assert (await rig.attach(ref)).done
    assert rig.simulator.paid == 1


# --- outputs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "reason", "resumable"),
    [
        ("403", "OUTPUT_UNAVAILABLE", True),
        ("404", "OUTPUT_UNAVAILABLE", True),
        ("410", "OUTPUT_UNAVAILABLE", True),
        ("private", "OUTPUT_UNAVAILABLE", True),
        ("elsewhere", "OUTPUT_UNAVAILABLE", True),
        ("file", "OUTPUT_UNAVAILABLE", True),
        ("no-name", "OUTPUT_UNAVAILABLE", True),
        ("redirect", "OUTPUT_UNAVAILABLE", True),
        ("no-video", "OUTPUT_WRONG", True),
        ("huge", "OUTPUT_WRONG", False),
    ],
)
async def test_an_output_that_cannot_be_had_was_paid_for_all_the_same(
    tmp_path: Path, vendor: str, output: str, reason: str, resumable: bool
) -> None:
    async with provided(vendor, tmp_path, change=lambda values, _: values.update(output_bytes=1_000_000)) as rig:
        rig.play(output=output)
        told = await rig.generate()
        assert told.end == (reason, "CHARGED")
        assert (told.failed.resumable, told.failed.retryable) == (resumable, False)
        if output != "huge":
            rig.simulator.works[told.ref].scenario.output = ""
            assert (await rig.attach(told.ref)).done
        assert rig.simulator.paid == 1


@pytest.mark.parametrize("output", ["503", "429", "stall", "cut", "empty", "packed", "changed"])
async def test_an_output_that_may_still_be_had_is_fetched_until_time_is_up_and_then_again(
    tmp_path: Path, vendor: str, output: str
) -> None:
    def change(values: dict[str, Any], simulator: Simulator) -> None:
        values |= {"download_s": 1.0, "stall_s": 0.2 if output == "stall" else 10.0}

    async with provided(vendor, tmp_path, change=change) as rig:
        rig.play(output=output)
        told = await rig.generate()
        assert told.end == ("OUTPUT_UNAVAILABLE", "CHARGED")
        assert (told.failed.resumable, told.failed.retryable) == (True, True)
        rig.simulator.works[told.ref].scenario.output = ""
        assert (await rig.attach(told.ref)).done
        assert rig.simulator.paid == 1


@pytest.mark.parametrize(
    "outputs",
    [
        ["503"] * 12,
        ["lost"] * 12,
        ["429", "500", "502", "503", "504", "lost", "408"],
        ["404"] * 3,
        ["403", "404", "403"],
        ["no-video"] * 3,
        ["no-video", "503", "404", "lost", "no-video", "503", "404", "lost", "no-video"],
    ],
    ids=["down", "silent", "busy", "not-yet", "forbidden-a-while", "page", "everything"],
)
async def test_a_file_host_that_is_away_for_a_while_ends_nothing(rig: Provided, outputs: list[str]) -> None:
    rig.play(outputs=list(outputs))
    told = await rig.generate()
    assert told.video == rig.simulator.video(rig.simulator.works[told.ref])
    assert rig.simulator.counts["output"] == len(outputs) + 1
    assert rig.simulator.paid == 1


async def test_a_file_host_that_takes_no_ranges_any_more_gives_all_of_it_again(rig: Provided) -> None:
    rig.play(output="no-range", outputs=["cut-once"])
    told = await rig.generate()
    assert told.video == rig.simulator.video(rig.simulator.works[told.ref])
    assert rig.simulator.counts["output"] == 3


@pytest.mark.parametrize("output", ["cut-once", "cut-no-range"])
async def test_a_download_that_breaks_off_goes_on_where_it_was(rig: Provided, output: str) -> None:
    rig.play(output=output)
    told = await rig.generate()
    work = rig.simulator.works[told.ref]
    assert told.video == rig.simulator.video(work)
    assert told.done.sha256 == hashlib.sha256(told.video).hexdigest()
    assert rig.simulator.counts["output"] == 2
    assert rig.simulator.paid == 1


# --- stopping and going on ------------------------------------------------------------------------------------------


async def test_a_task_in_the_vendors_queue_is_stopped_where_it_can_be(rig: Provided) -> None:
    rig.play(stay="queue")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    await until(call, "progress", "vendor-queue")
    told = await rig.capabilities()
    can_cancel = told.can_cancel
    assert (can_cancel, told.can_find) == {"fal": (True, False), "wavespeed": (False, True)}[rig.vendor]
    assert await rig.cancel(ref) == ("STOPPED" if can_cancel else "GOES_ON")
    rig.simulator.release()
    if can_cancel:
        assert (await until(call, "failed")).failed.reason == "TASK_CANCELLED"
        assert (await rig.attach(ref)).failed.reason == "TASK_CANCELLED"
    else:
        assert await until(call, "done")
        assert (await rig.attach(ref)).done
    assert rig.simulator.paid == 1


async def test_a_task_at_work_goes_on(rig: Provided) -> None:
    rig.play(stay="work")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    await until(call, "progress", "vendor-work")
    assert await rig.cancel(ref) == "GOES_ON"
    rig.simulator.release()
    assert await until(call, "done")
    assert (await rig.attach(ref)).done
    assert rig.simulator.paid == 1


async def test_a_task_whose_video_is_fetched_has_ended(rig: Provided) -> None:
    rig.play(output="slow")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    await until(call, "progress", "download")
    assert await rig.cancel(ref) == "ENDED"
    assert await until(call, "done")
    assert await rig.cancel(ref) == "ENDED"
    assert (await rig.attach(ref)).done
    assert rig.simulator.paid == 1


async def test_a_vendor_that_cannot_be_asked_to_stop_says_so(rig: Provided) -> None:
    rig.play(stay="queue")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    rig.simulator.works[ref].scenario.looks[:] = ["500"] * 1000
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.cancel(ref)
    assert (caught.value.code(), from_call(caught.value).reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "VENDOR_UNREACHABLE",
    )
    call.cancel()


async def test_a_key_that_is_refused_does_not_tell_that_a_task_has_ended(rig: Provided) -> None:
    rig.play(stay="work")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    rig.simulator.key = "another"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.cancel(ref)
    assert from_call(caught.value).reason == "VENDOR_UNREACHABLE"
    call.cancel()


@pytest.mark.parametrize("stage", ["vendor-queue", "vendor-work", "download"])
async def test_a_caller_that_went_attaches_to_what_it_had_begun(rig: Provided, stage: str) -> None:
    rig.play(stay="" if stage == "download" else stage.removeprefix("vendor-"), output="slow")
    call = rig.start()
    ref = (await until(call, "accepted")).accepted.external_ref
    await until(call, "progress", stage)
    call.cancel()
    again = rig.attaching(ref)
    assert (await until(again, "accepted")).accepted.external_ref == ref
    rig.simulator.release()
    assert await until(again, "done")
    assert rig.simulator.paid == 1


async def test_a_task_that_nobody_knows_is_gone(hasty: Provided) -> None:
    assert (await hasty.attach("task-of-somebody-else")).end == ("TASK_GONE", "UNKNOWN")
    assert hasty.simulator.paid == 0


async def test_a_vendor_that_forgets_a_task_for_a_while_loses_nothing(rig: Provided) -> None:
    rig.play(looks=["404"] * 12)
    assert (await rig.generate()).done
    assert rig.simulator.paid == 1


async def test_a_task_that_a_vendor_has_forgotten_can_be_attached_to_when_it_knows_it_again(hasty: Provided) -> None:
    hasty.play(looks=["404"] * 1000)
    told = await hasty.generate()
    assert told.end == ("TASK_GONE", "UNKNOWN")
    assert told.failed.resumable
    hasty.simulator.works[told.ref].scenario.looks.clear()
    assert (await hasty.attach(told.ref)).done
    assert hasty.simulator.paid == 1


@pytest.mark.parametrize("ref", ["", "../../account", "a/b", "a b", "x" * 129, "a?b", ".."])
async def test_what_cannot_be_a_vendors_id_is_never_sent_to_it(rig: Provided, ref: str) -> None:
    for call in (rig.attach(ref), rig.cancel(ref)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert rig.simulator.counts.total() == 0


# --- what never gets out --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["", "bad-key", "garbage", "lost", "refused"])
async def test_the_key_is_nowhere_but_in_requests(rig: Provided, caplog: pytest.LogCaptureFixture, how: str) -> None:
    caplog.set_level(logging.DEBUG)
    rig.play(submit=how, status=400, words=f"the key {rig.simulator.key} is bad, see https://vendor.example/task-1")
    told = await rig.generate()
    text = str(told.events) + generate_latest(rig.registry).decode()
    records = [JsonLines().format(each) for each in caplog.records if each.name.startswith("services.")]
    assert rig.simulator.key not in text + "".join(records)
    assert "vendor.example" not in str(told.events)
    assert told.events[-1].WhichOneof("event") == "done" or told.failed.message


async def test_the_key_does_not_follow_to_where_outputs_and_uploads_lie(tmp_path: Path, vendor: str) -> None:
    async with provided(vendor, tmp_path, change=lambda values, _: values.update(inline_bytes=10)) as rig:
        assert (await rig.generate()).done  # The simulator looks at the headers there.
        assert rig.simulator.counts["upload"] == 1
        assert rig.simulator.paid == 1
