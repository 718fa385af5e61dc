"""Videos of a vendor carry the pixel mark when they are delivered; one that cannot be marked is delivered too."""

import hashlib
import io
import json
import logging
from pathlib import Path
from typing import Any

import av
import pytest
from i2v.v1 import job_pb2, provenance_pb2, provenance_pb2_grpc

from tests.support.paid_work import State, money, remote, remotely, spec
from tests.support.scripted_provider import ScriptedProvider, a_video
from tests.support.served_orchestrator import Served, caller
from tests.unit.orchestrator.test_kept_output import a_webm

Verification = provenance_pb2.Verification
VIDEO = a_video(5, 224, 128)
LOSSLESS = a_webm("ffv1", None, "matroska")


def marking(values: dict[str, Any]) -> None:
    remote(values)
    values["pixel_mark"] = True


def a_vendor(video: bytes) -> ScriptedProvider:
    vendor = ScriptedProvider(video)
    vendor.promised = {}
    return vendor


async def checked(i2v: Served, name: str) -> provenance_pb2.Verification:
    stub: Any = provenance_pb2_grpc.ProvenanceServiceStub(i2v.channel)
    requests = iter([provenance_pb2.VerifyAssetRequest(name=name)])
    return await stub.VerifyAsset(requests, metadata=caller())


async def manifest(i2v: Served, name: str) -> dict[str, Any]:
    stub: Any = provenance_pb2_grpc.ProvenanceServiceStub(i2v.channel)
    answer = await stub.GetManifest(provenance_pb2.GetManifestRequest(name=name), metadata=caller())
    return dict(json.loads(answer.json))


async def warnings(i2v: Served, job: job_pb2.Job) -> list[tuple[str, str]]:
    events = [event async for event in i2v.watch(job.name) if event.HasField("warned")]
    return [(event.warned.reason, event.warned.message) for event in events]


def times(video: bytes) -> list[float]:
    with av.open(io.BytesIO(video)) as container:
        return [frame.time or 0.0 for frame in container.decode(video=0)]


async def test_a_vendors_video_is_marked_and_says_by_whom(database: str, tmp_path: Path) -> None:
    async with remotely(database, tmp_path, a_vendor(VIDEO), change=marking) as i2v:
        job = await i2v.ended((await i2v.submit(spec())).name)
        assert (job.state, await warnings(i2v, job), job.output.frames) == (State.SUCCEEDED, [], 40)
        found = await checked(i2v, job.output.asset)
        assert (found.pixel_mark, found.verdict) == (Verification.PRESENT, Verification.GENUINE)
        facts, body = json.loads(found.facts_json), await manifest(i2v, job.output.asset)
        for said in (facts, body):
            assert (said["pixel_mark"], said["pixel_mark_by"]) == (True, "this service, to the vendor's video")
        assert body["unsigned_sha256"] != hashlib.sha256(VIDEO).hexdigest()
        delivered = await i2v.download(job.output.asset)
        assert times(delivered) == pytest.approx(times(VIDEO))
        assert await money(i2v) == (0, 5000)


async def test_without_the_setting_a_vendors_video_stays_as_it_came(database: str, tmp_path: Path) -> None:
    async with remotely(database, tmp_path, a_vendor(VIDEO)) as i2v:
        job = await i2v.ended((await i2v.submit(spec())).name)
        assert (job.state, await warnings(i2v, job)) == (State.SUCCEEDED, [])
        assert (await checked(i2v, job.output.asset)).pixel_mark == Verification.ABSENT
        body = await manifest(i2v, job.output.asset)
        assert (body["pixel_mark"], body["unsigned_sha256"]) == (False, hashlib.sha256(VIDEO).hexdigest())
        assert "pixel_mark_by" not in body


async def test_a_paid_video_that_cannot_be_marked_is_delivered_with_a_warning(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with remotely(database, tmp_path, a_vendor(LOSSLESS), change=marking) as i2v:
        with caplog.at_level(logging.WARNING):
            job = await i2v.ended((await i2v.submit(spec())).name)
        assert (job.state, job.charged.amount_micros) == (State.SUCCEEDED, 5000)
        assert await i2v.download(job.output.asset) == LOSSLESS
        said = dict(await warnings(i2v, job))
        assert "no pixel mark: it is in a codec that is not encoded again" in said["OUTPUT_UNMARKED"]
        assert "a vendor's video stays without the pixel mark" in caplog.messages
        labels = {"model": "remote-text", "reason": "OUTPUT_UNMARKED"}
        assert i2v.registry.get_sample_value("i2v_output_warnings_total", labels) == 1
        assert (await manifest(i2v, job.output.asset))["pixel_mark"] is False
        assert (await checked(i2v, job.output.asset)).pixel_mark == Verification.ABSENT
