"""Paid work: submitted once in every case, never lost, never paid for twice."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.provider.v1 import provider_pb2
from i2v.v1 import asset_pb2, job_pb2, provenance_pb2, provenance_pb2_grpc

from services.orchestrator.backends.provider_backend import ProviderBackend
from services.orchestrator.ports.backend import BackendEvent, GenerationRequest, TaskSubmitting
from tests.support.job_deadlines import late
from tests.support.paid_work import VIDEO, State, journal, kinds, life, money, remote, remotely, spec
from tests.support.scripted_provider import Failed, Found, ScriptedProvider, a_failure
from tests.support.served_orchestrator import Served, caller, served
from tests.support.worker_processes import worker
from tests.unit.orchestrator.test_kept_output import a_webm


async def test_a_remote_job_looks_like_a_local_one(i2v: Served, vendor: ScriptedProvider) -> None:
    job = await i2v.submit(spec(), "6f9619ff-8b86-4011-b42d-00c04fc964f1")
    ended = await i2v.ended(job.name)
    assert (ended.state, ended.charged.amount_micros) == (State.SUCCEEDED, 5000)
    assert (ended.output.size.width, ended.output.frames, ended.output.duration.seconds) == (64, 40, 5)
    assert await i2v.unsigned(ended) == hashlib.sha256(VIDEO).hexdigest()
    assert await kinds(i2v, job.name) == [
        *("admitted", "started", "submitting", "accepted"),
        *("progressed", "progressed", "progressed", "succeeded"),
    ]
    (task,) = vendor.submitted
    assert (task.model, task.prompt, task.duration_s) == ("text", "a wave", 5)
    assert task.submission_id == f"{job.name.removeprefix('jobs/')}.1"
    assert not task.HasField("seed") and not task.HasField("resolution")
    assert vendor.keys == {"Bearer the-key"}
    assert await journal(i2v) == ["charged"]
    assert await money(i2v) == (0, 5000)


async def test_a_refusal_without_cost_is_free(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.refusals = [a_failure("MODERATION", Failed.NOT_CHARGED)]
    ended = await i2v.ended((await i2v.submit(spec())).name)
    assert (ended.state, ended.error.reason, ended.charged.amount_micros) == (State.FAILED, "MODERATION", 0)
    assert not ended.error.resumable
    assert await journal(i2v) == ["released"]
    assert await money(i2v) == (0, 0)


async def test_what_was_certainly_not_charged_may_be_submitted_again(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.refusals = [a_failure("RATE_LIMITED", Failed.NOT_CHARGED, retryable=True)]
    vendor.unsubmitted = 1
    ended = await i2v.ended((await i2v.submit(spec())).name)
    assert (ended.state, ended.attempt, ended.charged.amount_micros) == (State.SUCCEEDED, 3, 5000)
    assert await journal(i2v) == ["released", "released", "charged"]
    assert [task.submission_id[-2:] for task in vendor.submitted] == [".2", ".3"]


@pytest.mark.parametrize(
    ("availability", "reason"), [("NO_KEY", "BAD_KEY"), ("NO_CREDIT", "NO_CREDIT"), ("BROKEN", "CIRCUIT_OPEN")]
)
async def test_a_job_waits_until_the_deadline_for_a_vendor_that_accepts_no_work(
    i2v: Served, vendor: ScriptedProvider, availability: str, reason: str
) -> None:
    capabilities = vendor.capabilities
    capabilities.availability = provider_pb2.Capabilities.Availability.Value(availability)
    capabilities.reason = "Somebody has to act."
    job = await i2v.submit(spec())
    error = (await i2v.until(job.name, "retrying")).retrying.error
    assert (error.reason, error.message) == (reason, "Somebody has to act.")

    async def short(seconds: int) -> job_pb2.Job:
        asked = spec()
        asked.timeout.seconds = seconds  # 3: the third wait, from 1.5 s on, would pass it
        return await i2v.ended((await i2v.submit(asked)).name)

    ended = await late(short, 3, lambda ended: ended.error.reason != "DEADLINE_EXCEEDED")
    assert (ended.state, ended.error.reason, ended.charged.amount_micros) == (State.FAILED, reason, 0)
    assert (vendor.submitted, await money(i2v)) == ([], (5000, 0))
    capabilities.availability = provider_pb2.Capabilities.AVAILABLE
    assert (await i2v.ended(job.name)).state == State.SUCCEEDED


async def test_a_request_that_grpc_rejects_was_not_submitted(
    database: str, tmp_path: Path, vendor: ScriptedProvider
) -> None:
    class Crowded(ProviderBackend):
        """Before its first handover the provider gets as many calls as it takes."""

        crowds = 1

        async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
            async with aclosing(super().generate(attempt)) as events:
                async for event in events:
                    if isinstance(event, TaskSubmitting) and self.crowds:
                        self.crowds -= 1
                        vendor.working.clear()
                        await self.fill_all_places()
                    yield event

        async def fill_all_places(self) -> None:
            while True:
                self.other = self._stub.Attach(provider_pb2.AttachRequest(external_ref="task-0", model="text"))
                with suppress(grpc.aio.AioRpcError):  # other tests check the provider too
                    await self.other.read()
                    return

    async with remotely(database, tmp_path, vendor, backend=Crowded, limits=1, most_calls=1) as i2v:
        job = await i2v.submit(spec())
        await i2v.until(job.name, "released")
        vendor.working.set()
        ended = await i2v.ended(job.name)
        assert (ended.state, ended.charged.amount_micros) == (State.SUCCEEDED, 5000)
        reasons = [event.retrying.error.reason async for event in i2v.watch(job.name) if event.HasField("retrying")]
        assert "NOTHING_SUBMITTED" in reasons and len(vendor.submitted) == 1
        assert await journal(i2v) == ["released", "charged"]


async def test_a_resource_exhausted_error_may_hide_a_submission(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.losses = 1
    vendor.loss = (grpc.StatusCode.RESOURCE_EXHAUSTED, "Received RST_STREAM with error code 11")
    job = await i2v.submit(spec())
    await i2v.until(job.name, "reconciling")
    vendor.finding = Found.ABSENT
    assert (await i2v.ended(job.name)).charged.amount_micros == 0
    assert len(vendor.submitted) == 1


async def test_a_temporarily_missing_video_is_fetched_until_the_deadline(i2v: Served, vendor: ScriptedProvider) -> None:
    away = {"charge": Failed.CHARGED, "retryable": True, "resumable": True}
    vendor.failures = [a_failure("OUTPUT_UNAVAILABLE", **away) for _ in range(2)]
    ended = await i2v.ended((await i2v.submit(spec())).name)
    assert (ended.state, ended.attempt, ended.charged.amount_micros) == (State.SUCCEEDED, 3, 5000)
    assert (len(vendor.submitted), vendor.attached) == (1, ["task-1"] * 2)
    vendor.failures = [a_failure("OUTPUT_UNAVAILABLE", **away) for _ in range(100)]
    short = spec()
    short.timeout.seconds = 3
    late = await i2v.ended((await i2v.submit(short)).name)
    assert (late.state, late.error.reason, late.error.resumable) == (State.FAILED, "OUTPUT_UNAVAILABLE", True)
    assert (len(vendor.submitted), await money(i2v)) == (2, (0, 10_000))


async def test_a_task_that_failed_after_it_was_charged_costs_its_price(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.failures = [a_failure("TASK_FAILED", Failed.CHARGED)]
    ended = await i2v.ended((await i2v.submit(spec())).name)
    assert (ended.state, ended.error.reason, ended.charged.amount_micros) == (State.FAILED, "TASK_FAILED", 5000)
    assert (await journal(i2v), await money(i2v)) == (["charged"], (0, 5000))


async def test_a_refusal_that_was_charged_immediately_costs_its_price(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.refusals = [a_failure("TASK_FAILED", Failed.CHARGED)]
    ended = await i2v.ended((await i2v.submit(spec())).name)
    assert (ended.state, ended.charged.amount_micros) == (State.FAILED, 5000)
    assert (await journal(i2v), await money(i2v)) == (["charged"], (0, 5000))


async def test_a_failed_task_that_the_vendor_refunds_is_free(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.failures = [a_failure("TASK_FAILED", Failed.NOT_CHARGED)]
    ended = await i2v.ended((await i2v.submit(spec())).name)
    assert (ended.state, ended.charged.amount_micros) == (State.FAILED, 0)
    assert "released" in await kinds(i2v, ended.name)


async def test_a_vendor_is_not_called_for_as_long_as_it_requests(i2v: Served, vendor: ScriptedProvider) -> None:
    limited = a_failure("RATE_LIMITED", Failed.NOT_CHARGED, retryable=True)
    limited.retry_delay.FromSeconds(30)
    vendor.refusals = [limited]
    job = await i2v.submit(spec())
    event = await i2v.until(job.name, "retrying")
    assert (event.retrying.retry_time.ToDatetime() - event.create_time.ToDatetime()).total_seconds() > 29
    await i2v.cancel(job.name)
    assert (await i2v.ended(job.name)).charged.amount_micros == 0


async def test_a_task_that_repeatedly_fails_for_free_is_bought_three_times(
    i2v: Served, vendor: ScriptedProvider
) -> None:
    vendor.failures = [a_failure("TASK_FAILED", Failed.NOT_CHARGED, retryable=True) for _ in range(9)]
    ended = await i2v.ended((await i2v.submit(spec())).name)
    assert (ended.state, ended.error.reason, ended.charged.amount_micros) == (State.FAILED, "TASK_FAILED", 0)
    assert (len(vendor.submitted), await journal(i2v)) == (3, ["released"] * 3)


async def test_a_timed_out_poll_refunds_nothing_and_can_be_resumed(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.failures = [a_failure("TIMED_OUT", Failed.UNKNOWN, resumable=True)]
    ended = await i2v.ended((await i2v.submit(spec())).name)
    assert (ended.state, ended.error.reason, ended.error.resumable) == (State.FAILED, "TIMED_OUT", True)
    assert (ended.charged.amount_micros, len(vendor.submitted)) == (5000, 1)


@pytest.mark.parametrize("reason", ["TASK_FAILED", "TASK_CANCELLED", "TASK_GONE"])
async def test_an_accepted_task_of_unknown_cost_is_paid_for_and_named_in_the_log(
    i2v: Served, vendor: ScriptedProvider, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    vendor.failures = [a_failure(reason, Failed.UNKNOWN)]
    ended = await i2v.ended((await i2v.submit(spec())).name)
    assert (ended.state, ended.error.reason, ended.error.resumable) == (State.FAILED, reason, False)
    assert (ended.charged.amount_micros, len(vendor.submitted)) == (5000, 1)
    assert (await money(i2v), await journal(i2v)) == ((0, 5000), ["charged"])
    (line,) = [record for record in caplog.records if "it is unknown whether" in record.message]
    assert (f"jobs/{line.job_id}", line.reason) == (ended.name, reason)  # type: ignore[attr-defined]


async def test_a_stream_that_breaks_after_accepted_is_attached_to(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.cuts = 2
    ended = await i2v.ended((await i2v.submit(spec())).name)
    assert (ended.state, ended.attempt, ended.charged.amount_micros) == (State.SUCCEEDED, 3, 5000)
    assert (len(vendor.submitted), vendor.attached) == (1, ["task-1", "task-1"])
    assert await i2v.unsigned(ended) == hashlib.sha256(VIDEO).hexdigest()


async def test_the_addresses_of_providers_stay_in_the_log(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend = ProviderBackend("127.0.0.1:9")  # no process listens there
    async with served(database, tmp_path, {"vendor": (backend, 1)}, change=remote) as i2v:
        job = await i2v.submit(spec())
        error = (await i2v.until(job.name, "retrying")).retrying.error
        assert (error.reason, error.message) == (
            "PROVIDER_UNREACHABLE",
            "The provider cannot be reached: the call failed.",
        )
        assert "127.0.0.1" not in (await backend.availability()).reason
        assert any("127.0.0.1:9" in getattr(record, "cause", "") for record in caplog.records)
        await i2v.cancel(job.name)
    await backend.close()


async def test_the_deadline_keeps_the_money_of_an_accepted_task(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.working.clear()

    async def short(seconds: int) -> job_pb2.Job:
        asked = spec()
        asked.timeout.seconds = seconds
        return await i2v.ended((await i2v.submit(asked)).name)

    ended = await late(short, 2, lambda ended: bool(vendor.submitted))
    assert (ended.state, ended.error.reason, ended.error.resumable) == (State.FAILED, "DEADLINE_EXCEEDED", True)
    assert (ended.charged.amount_micros, vendor.stopped) == (5000, [])


async def test_an_output_that_is_not_a_video_fails_and_stays_paid(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.video = b"<html>not found</html>" * 100
    ended = await i2v.ended((await i2v.submit(spec())).name)
    assert (ended.state, ended.error.reason) == (State.FAILED, "VIDEO_UNREADABLE")
    assert (ended.error.resumable, ended.charged.amount_micros) == (False, 5000)


@pytest.mark.parametrize("found", [True, False])
async def test_a_worker_killed_while_it_submits_leaves_one_submission(
    database: str, tmp_path: Path, vendor: ScriptedProvider, found: bool
) -> None:
    vendor.accepting.clear()
    async with life(database, tmp_path, vendor) as (i2v, settings):
        job = await i2v.submit(spec())
        with worker(database, tmp_path, **settings) as process:
            await vendor.asked.wait()
            process.kill()
            process.wait()
        vendor.accepting.set()
        with worker(database, tmp_path, **settings):
            await i2v.until(job.name, "reconciling")
            vendor.finding, vendor.found_ref = (Found.FOUND if found else Found.ABSENT), "task-1" * found
            ended = await i2v.ended(job.name)
    assert len(vendor.submitted) == 1
    assert (ended.state, ended.charged.amount_micros) == ((State.SUCCEEDED, 5000) if found else (State.FAILED, 0))


async def test_a_worker_killed_after_accepted_is_followed_by_one_that_attaches(
    database: str, tmp_path: Path, vendor: ScriptedProvider
) -> None:
    vendor.working.clear()
    async with life(database, tmp_path, vendor) as (i2v, settings):
        job = await i2v.submit(spec())
        for _ in range(2):
            with worker(database, tmp_path, **settings) as process:
                await vendor.begun.wait()
                await i2v.until(job.name, "accepted")
                process.kill()
                process.wait()
            vendor.begun.clear()
        vendor.working.set()
        with worker(database, tmp_path, **settings):
            ended = await i2v.ended(job.name)
    assert (ended.state, ended.charged.amount_micros) == (State.SUCCEEDED, 5000)
    assert (len(vendor.submitted), set(vendor.attached)) == (1, {"task-1"})


async def test_a_worker_that_is_stopped_waits_for_the_answer(
    database: str, tmp_path: Path, vendor: ScriptedProvider
) -> None:
    vendor.accepting.clear()
    async with life(database, tmp_path, vendor) as (i2v, settings):
        job = await i2v.submit(spec())
        with worker(database, tmp_path, **settings) as process:
            await vendor.asked.wait()
            process.terminate()
            asyncio.get_running_loop().call_later(0.5, vendor.accepting.set)
            assert await asyncio.to_thread(process.wait) == 0
        with worker(database, tmp_path, **settings):
            ended = await i2v.ended(job.name)
    assert (ended.state, len(vendor.submitted), vendor.attached) == (State.SUCCEEDED, 1, ["task-1"])


async def test_a_video_of_another_kind_than_mp4_that_was_paid_for_is_delivered(
    i2v: Served, vendor: ScriptedProvider
) -> None:
    for video, media_type, starts in (
        (a_webm(), "video/mp4", b"\0\0\0"),
        (a_webm("libvpx"), "video/webm", b"\x1a\x45\xdf\xa3"),
    ):
        vendor.video = video
        ended = await i2v.ended((await i2v.submit(spec())).name)
        assert (ended.state, ended.charged.amount_micros) == (State.SUCCEEDED, 5000), ended.error
        asset = await i2v.assets.GetAsset(asset_pb2.GetAssetRequest(name=ended.output.asset), metadata=caller())
        assert asset.media_type == media_type
        warned = [event.warned.reason async for event in i2v.watch(ended.name) if event.WhichOneof("event") == "warned"]
        assert ("OUTPUT_UNSIGNED" in warned) == (media_type == "video/webm")
        manifests: Any = provenance_pb2_grpc.ProvenanceServiceStub(i2v.channel)
        request = provenance_pb2.GetManifestRequest(name=ended.output.asset)
        made = await manifests.GetManifest(request, metadata=caller())
        assert made.signed == (media_type == "video/mp4")
        assert ("video/webm file has no place" in made.json) == (media_type == "video/webm")
        brought = await i2v.download(ended.output.asset)
        assert (len(brought), brought.startswith(starts)) == (asset.size_bytes, True)
