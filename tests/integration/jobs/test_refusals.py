"""Bad input: each is refused with a typed error that names the field, the limit and the way out; nothing is charged."""

import asyncio
import hashlib
import resource
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from i2v.v1 import asset_pb2, catalog_pb2, job_pb2

from tests.support import pictures
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, caller, image_spec, parts, served, text_spec

CAT = Path("tests/golden/cat.png").read_bytes()
Code = grpc.StatusCode


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as running:
        yield running
        usage = await running.usage()
        assert usage.user.reserved.amount_micros == usage.user.spent.amount_micros == usage.user.active_jobs == 0
        assert not usage.entries, "a refusal left a trace in the ledger"
        assert files(tmp_path / "spool") == []


def files(folder: Path) -> list[Path]:
    """Every file below a folder except the locks of processes, and renditions that a worker is making."""
    found = [file for file in folder.rglob("*") if file.is_file() and file.name not in ("lock", ".lock")]
    return [file for file in found if not file.parent.name.startswith("rendition-")]


def details(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """The rich details by the name of their type."""
    status = rpc_status.from_call(error)
    assert status is not None, "every error carries details"
    found: dict[str, Any] = {}
    for packed in status.details:
        kind = getattr(error_details_pb2, packed.TypeName().rpartition(".")[2])()
        packed.Unpack(kind)
        found[packed.TypeName().rpartition(".")[2]] = kind
    return found


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def field_of(error: grpc.aio.AioRpcError) -> tuple[str, str]:
    """The first named field, and the reason."""
    found = details(error)
    assert found["ErrorInfo"].domain and found["ErrorInfo"].reason
    return found["BadRequest"].field_violations[0].field, found["ErrorInfo"].reason


def without(spec: job_pb2.JobSpec, field: str) -> job_pb2.JobSpec:
    spec.ClearField(field)  # type: ignore[arg-type]
    return spec


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        (text_spec(""), "spec.text_to_video.prompt", "PROMPT_EMPTY"),
        (text_spec("x" * 101), "spec.text_to_video.prompt", "PROMPT_TOO_LONG"),
        (text_spec(seconds=3), "spec.duration", "DURATION_UNSUPPORTED"),
        (text_spec(seconds=-1), "spec.duration", "DURATION_UNSUPPORTED"),
        (text_spec(size=job_pb2.Size(width=65, height=32)), "spec.size", "SIZE_UNSUPPORTED"),
        (text_spec(size=job_pb2.Size()), "spec.size", "SIZE_UNSUPPORTED"),
        (text_spec(quality=job_pb2.JobSpec.FAST), "spec.quality", "QUALITY_UNSUPPORTED"),
        (text_spec(quality=7), "spec.quality", "QUALITY_UNKNOWN"),
        (text_spec(seed=-1), "spec.seed", "SEED_OUT_OF_RANGE"),
        (without(text_spec(), "text_to_video"), "spec.operation", "OPERATION_MISSING"),
        (without(text_spec(), "model"), "spec.model", "MODEL_UNKNOWN"),
        (job_pb2.JobSpec(), "spec.operation", "OPERATION_MISSING"),
        (image_spec("assets/nonsense"), "spec.image_to_video.image", "ASSET_NAME_MALFORMED"),
        (image_spec("http://169.254.169.254/cat.png"), "spec.image_to_video.image", "ASSET_NAME_MALFORMED"),
        (image_spec("a" * 64, model="sora"), "spec.model", "MODEL_UNKNOWN"),
        (text_spec(timeout={"seconds": 10**12}), "spec.timeout", "DURATION_MALFORMED"),
        (text_spec(timeout={"seconds": 0}), "spec.timeout", "TIMEOUT_OUT_OF_RANGE"),
    ],
)
async def test_a_spec_beyond_the_card_is_refused(i2v: Served, spec: job_pb2.JobSpec, field: str, reason: str) -> None:
    error = await refused(i2v.submit(spec))
    assert error.code() is Code.INVALID_ARGUMENT
    assert field_of(error) == (field, reason)
    preview = await i2v.jobs.PreviewJob(job_pb2.PreviewJobRequest(spec=spec), metadata=caller())
    assert not preview.admissible
    assert (field, reason) in {(each.field, each.reason) for each in preview.problems}


@pytest.mark.parametrize("request_id", ["", "7", "not-a-uuid", "x" * 10_000])
async def test_a_request_id_that_is_no_uuid_is_refused(i2v: Served, request_id: str) -> None:
    request = job_pb2.SubmitJobRequest(request_id=request_id, spec=text_spec())
    error = await refused(i2v.jobs.SubmitJob(request, metadata=caller()))
    assert (error.code(), field_of(error)) == (Code.INVALID_ARGUMENT, ("request_id", "REQUEST_ID_MALFORMED"))


async def test_a_missing_picture_is_named(i2v: Served) -> None:
    error = await refused(i2v.submit(image_spec("assets/" + "a" * 64)))
    assert error.code() is Code.NOT_FOUND
    found = details(error)
    assert found["ResourceInfo"].resource_name == "assets/" + "a" * 64
    assert found["ErrorInfo"].metadata["field"] == "spec.image_to_video.image"


async def test_another_users_picture_and_job_are_not_found(i2v: Served) -> None:
    picture = await i2v.upload(CAT)
    job = await i2v.submit(text_spec(), user="bob")
    for who in ({"user": "mallory"}, {"tenant": "story"}):
        assert (await refused(i2v.submit(image_spec(picture.name), **who))).code() is Code.NOT_FOUND
        assert (await refused(i2v.download(picture.name, **who))).code() is Code.NOT_FOUND
        assert (await refused(i2v.job(job.name, **who))).code() is Code.NOT_FOUND
        assert (await refused(i2v.cancel(job.name, **who))).code() is Code.NOT_FOUND
        assert (await refused(i2v.ended(job.name, **who))).code() is Code.NOT_FOUND
        request = asset_pb2.GetAssetRequest(name=picture.name)
        assert (await refused(i2v.assets.GetAsset(request, metadata=caller(**who)))).code() is Code.NOT_FOUND
    await i2v.ended(job.name, user="bob")


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "studio-key"),),
        (("authorization", "Bearer wrong"),),
        (("authorization", "Bearer "),),
        (("authorization", "Basic c3R1ZGlvLWtleTo="),),
    ],
)
async def test_a_wrong_key_is_unauthenticated(i2v: Served, metadata: Any) -> None:
    error = await refused(i2v.jobs.GetJob(job_pb2.GetJobRequest(name="jobs/1"), metadata=metadata))
    assert error.code() is Code.UNAUTHENTICATED
    assert "wrong" not in (error.details() or "") and "studio-key" not in (error.details() or "")


async def test_a_reused_request_id_is_refused_and_names_the_first_job(i2v: Served) -> None:
    request_id = str(uuid.uuid4())
    job = await i2v.submit(text_spec(), request_id, user="bob")
    error = await refused(i2v.submit(text_spec("another"), request_id, user="bob"))
    assert error.code() is Code.ALREADY_EXISTS
    assert details(error)["ErrorInfo"].metadata["job"] == job.name
    await i2v.ended(job.name, user="bob")


async def test_a_quota_refusal_says_which_limit_and_does_not_invite_to_wait_where_that_cannot_help(i2v: Served) -> None:
    error = await refused(i2v.submit(text_spec(seconds=2), tenant="poor"))  # more than the whole budget
    assert error.code() is Code.RESOURCE_EXHAUSTED
    found = details(error)
    assert found["ErrorInfo"].reason == "USER_BUDGET_EXCEEDED"
    assert found["QuotaFailure"].violations[0].subject == "user"
    assert "RetryInfo" not in found


async def test_a_refusal_by_a_used_up_budget_says_when_to_retry(database: str, tmp_path: Path) -> None:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as i2v:
        job = await i2v.submit(text_spec(seconds=1), tenant="poor")
        found = details(await refused(i2v.submit(text_spec(seconds=1), tenant="poor")))
        assert found["ErrorInfo"].reason == "USER_BUDGET_EXCEEDED"
        assert found["RetryInfo"].retry_delay.seconds > 0
        assert [event async for event in i2v.watch(job.name, tenant="poor")]


async def test_invalid_names_and_numbers_are_refused(i2v: Served) -> None:
    jobs, who = i2v.jobs, {"metadata": caller()}
    errors = [
        await refused(jobs.GetJob(job_pb2.GetJobRequest(name="cat"), **who)),
        await refused(jobs.GetJob(job_pb2.GetJobRequest(name="jobs/a b"), **who)),
        await refused(jobs.ListJobs(job_pb2.ListJobsRequest(page_size=-1), **who)),
        await refused(jobs.ListJobs(job_pb2.ListJobsRequest(page_size=201), **who)),
        await refused(jobs.ListJobs(job_pb2.ListJobsRequest(page_token="nonsense"), **who)),
        await refused(jobs.ListJobs(job_pb2.ListJobsRequest(page_token="W" * 200_000), **who)),
        await refused(jobs.ListJobs(job_pb2.ListJobsRequest(page_token="WyJhIiwgInF1ZXVlZCJd"), **who)),
        await refused(jobs.ListJobs(job_pb2.ListJobsRequest(page_token="WyJhIiwgbnVsbCwgdHJ1ZV0="), **who)),
        await refused(jobs.ListJobs(job_pb2.ListJobsRequest(page_token="WyJhIiwgbnVsbF0=", after="jobs/1"), **who)),
        await refused(jobs.ListJobs(job_pb2.ListJobsRequest(after="jobs/a b"), **who)),
        await refused(jobs.ListJobs(job_pb2.ListJobsRequest(state=99), **who)),  # type: ignore[arg-type]
        await refused(anext(aiter(i2v.watch("jobs/1", after=-1)))),
        await refused(i2v.catalog.GetModel(catalog_pb2.GetModelRequest(name="nano"), **who)),
    ]
    assert [error.code() for error in errors] == [Code.INVALID_ARGUMENT] * len(errors)
    assert [field_of(error)[0] for error in errors] == [
        "name",
        "name",
        "page_size",
        "page_size",
        "page_token",
        "page_token",
        "page_token",
        "page_token",
        "after",
        "after",
        "state",
        "after_sequence",
        "name",
    ]
    error = await refused(i2v.catalog.GetModel(catalog_pb2.GetModelRequest(name="models/sora"), **who))
    assert error.code() is Code.NOT_FOUND


HOSTILE = {
    "truncated": (CAT[: len(CAT) // 2], "image/png"),
    "text": (b"hello, I am a picture", "image/jpeg"),
    "empty": (b"", "image/png"),
    "too-large": (CAT + b"\0" * 10_000_000, "image/png"),
    "not-a-video": (CAT, "video/mp4"),
    "gif": (pictures.animated("GIF"), "image/gif"),
    "gif-of-no-type": (pictures.animated("GIF"), ""),
    "no-type-at-all": (b"hello, I am a picture", ""),
    "pdf": (b"%PDF-1.7 and so on", "application/octet-stream"),
    "text-type": (CAT, "text/plain"),
    "no-sound": (CAT, "audio/mpeg"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_an_invalid_upload_leaves_nothing(i2v: Served, name: str, tmp_path: Path) -> None:
    data, media_type = HOSTILE[name]
    error = await refused(i2v.upload(data, media_type))
    assert error.code() is Code.INVALID_ARGUMENT
    field, reason = field_of(error)
    assert field in ("data", "header.media_type", "header.size_bytes") and reason
    assert files(tmp_path / "blobs") == []


BOMBS = {
    "bomb": pictures.a_png(12_000, 12_000),
    "sides": pictures.a_png(8193, 3000),
    "flat": pictures.a_png(500, 100),
    "tiny": pictures.a_png(1, 1),
    "animated-png": pictures.animated("PNG"),
    "animated-webp": pictures.animated("WEBP"),
    "false size": pictures.of_another_size(pictures.a_picture(64, 64, "RGB", "JPEG"), 8192, 6100),
}


async def test_every_kind_of_hostile_picture_is_refused_over_the_wire_in_flat_memory(i2v: Served) -> None:
    reasons = {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, data in BOMBS.items():
        assert len(data) < 500_000, name
        error = await refused(i2v.upload(data))
        assert error.code() is Code.INVALID_ARGUMENT, name
        reasons[name] = field_of(error)[1]
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024 < 50, "megabytes"
    assert len(set(reasons.values())) >= 5, reasons


async def test_a_wrong_checksum_size_or_order_is_refused(i2v: Served) -> None:
    header = asset_pb2.WriteAssetHeader
    right = hashlib.sha256(CAT).hexdigest()
    cases = {
        "CHECKSUM_MISMATCH": parts(header(media_type="image/png", sha256="0" * 64), CAT),
        "CHECKSUM_MALFORMED": parts(header(media_type="image/png", sha256="xyz"), CAT),
        "SIZE_MISMATCH": parts(header(media_type="image/png", size_bytes=5, sha256=right), CAT),
        "UPLOAD_TOO_LARGE": parts(header(media_type="image/png", size_bytes=10**12), b""),
        "HEADER_MISSING": _only(asset_pb2.WriteAssetRequest(data=CAT)),
        "DATA_EMPTY": _only(
            asset_pb2.WriteAssetRequest(header=header(media_type="image/png")), asset_pb2.WriteAssetRequest(data=b"")
        ),
        "HEADER_REPEATED": _only(*[asset_pb2.WriteAssetRequest(header=header(media_type="image/png"))] * 2),
    }
    for reason, requests in cases.items():
        error = await refused(i2v.assets.WriteAsset(requests, metadata=caller()))
        assert (error.code(), field_of(error)[1]) == (Code.INVALID_ARGUMENT, reason)
    assert (await refused(i2v.assets.WriteAsset(_only(), metadata=caller()))).code() is Code.INVALID_ARGUMENT


async def _only(*requests: asset_pb2.WriteAssetRequest) -> AsyncIterator[asset_pb2.WriteAssetRequest]:
    for request in requests:
        yield request


async def test_a_broken_upload_leaves_nothing(i2v: Served, tmp_path: Path) -> None:
    half = asyncio.Event()

    async def breaking() -> AsyncIterator[asset_pb2.WriteAssetRequest]:
        yield asset_pb2.WriteAssetRequest(header=asset_pb2.WriteAssetHeader(media_type="image/png"))
        yield asset_pb2.WriteAssetRequest(data=CAT[: len(CAT) // 2])
        half.set()
        await asyncio.Event().wait()

    call = i2v.assets.WriteAsset(breaking(), metadata=caller())
    await half.wait()
    call.cancel()
    async with asyncio.timeout(60):
        while files(tmp_path / "spool"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert files(tmp_path / "blobs") == []


async def test_a_download_may_start_anywhere_within_the_file(i2v: Served) -> None:
    asset = await i2v.upload(CAT)
    whole = await i2v.download(asset.name)
    assert hashlib.sha256(whole).hexdigest() == asset.name.removeprefix("assets/")
    assert await i2v.download(asset.name, offset=1000) == whole[1000:]
    assert await i2v.download(asset.name, offset=len(whole)) == b""
    for offset in (-1, len(whole) + 1):
        error = await refused(i2v.download(asset.name, offset=offset))
        assert (error.code(), field_of(error)[0]) == (Code.INVALID_ARGUMENT, "offset")


async def test_the_same_picture_twice_is_one_asset(i2v: Served) -> None:
    assert await i2v.upload(CAT) == await i2v.upload(CAT)
