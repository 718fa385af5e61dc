"""Batches through the server: jobs that are counted together."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from i2v.v1 import job_pb2

from services.orchestrator.role import Role
from tests.integration.jobs.test_refusals import Code, details, field_of, refused
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, caller, served, text_spec

Mode = job_pb2.SubmitJobsRequest.Mode
ALL, EACH = job_pb2.SubmitJobsRequest.ALL_OR_NOTHING, job_pb2.SubmitJobsRequest.EACH
MODES = [ALL, EACH]
POOR = {"tenant": "poor"}
"""Its users may spend the price of one job, and the tenant that of three."""


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, role=Role.API) as running:
        yield running


def a_request(spec: job_pb2.JobSpec | None = None, request_id: str = "") -> job_pb2.SubmitJobRequest:
    return job_pb2.SubmitJobRequest(request_id=request_id or str(uuid.uuid4()), spec=spec or text_spec())


async def submit(
    i2v: Served, mode: "Mode.ValueType", *jobs: job_pb2.SubmitJobRequest, **who: str
) -> list[job_pb2.SubmitJobResult]:
    request = job_pb2.SubmitJobsRequest(jobs=jobs, mode=mode)
    return list((await i2v.jobs.SubmitJobs(request, metadata=caller(**who))).results)


def reason(result: job_pb2.SubmitJobResult) -> str:
    """Returns the reason of a refused job; empty for an admitted one."""
    for detail in result.error.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return ""


async def held(i2v: Served, **who: str) -> int:
    usage = await i2v.usage(**who)
    return usage.user.reserved.amount_micros + usage.user.spent.amount_micros


@pytest.mark.parametrize("mode", MODES)
async def test_a_hundred_jobs_are_admitted_and_a_repeat_returns_the_same(i2v: Served, mode: "Mode.ValueType") -> None:
    jobs = [a_request() for _ in range(100)]
    first = await submit(i2v, mode, *jobs)
    assert [each.job.request_id for each in first] == [each.request_id for each in jobs]
    again = await submit(i2v, mode, *jobs)
    assert [each.job.name for each in again] == [each.job.name for each in first]
    assert await held(i2v) == 100_000


async def test_jobs_that_fit_only_one_by_one_are_refused_together(i2v: Served) -> None:
    error = await refused(submit(i2v, ALL, a_request(), a_request(), **POOR))
    assert error.code() is Code.RESOURCE_EXHAUSTED
    assert details(error)["ErrorInfo"].metadata["asked"] == "2000"
    assert await held(i2v, **POOR) == 0


async def test_each_job_gets_what_the_previous_ones_left(i2v: Served) -> None:
    jobs = [a_request() for _ in range(5)]
    results = await submit(i2v, EACH, *jobs, **POOR)
    assert [reason(each) for each in results] == ["", *["USER_BUDGET_EXCEEDED"] * 4]
    assert results[1].error.code == 8 and await held(i2v, **POOR) == 1000
    again = await submit(i2v, EACH, *jobs, **POOR)
    assert again[0].job.name == results[0].job.name


async def test_one_bad_job_refuses_the_batch_and_is_named(i2v: Served) -> None:
    bad = text_spec(seconds=9)
    error = await refused(submit(i2v, ALL, a_request(), a_request(), a_request(bad), a_request(request_id="7")))
    assert error.code() is Code.INVALID_ARGUMENT
    assert [(each.field, each.reason) for each in details(error)["BadRequest"].field_violations] == [
        ("jobs[2].spec.duration", "DURATION_UNSUPPORTED"),
        ("jobs[3].request_id", "REQUEST_ID_MALFORMED"),
    ]
    assert await held(i2v) == 0


async def test_each_bad_job_has_an_error_of_its_own(i2v: Served) -> None:
    missing = a_request(job_pb2.JobSpec(model="test-model"))
    results = await submit(i2v, EACH, a_request(), a_request(text_spec(seconds=9)), missing, a_request(request_id="7"))
    assert [reason(each) for each in results] == [
        "",
        "DURATION_UNSUPPORTED",
        "OPERATION_MISSING",
        "REQUEST_ID_MALFORMED",
    ]
    assert {each.error.code for each in results[1:]} == {3}


@pytest.mark.parametrize("mode", MODES)
async def test_a_request_id_twice_in_a_batch_is_refused(i2v: Served, mode: "Mode.ValueType") -> None:
    request_id = str(uuid.uuid4())
    error = await refused(submit(i2v, mode, a_request(request_id=request_id), a_request(request_id=request_id.upper())))
    assert (error.code(), field_of(error)) == (
        Code.INVALID_ARGUMENT,
        ("jobs[1].request_id", "REQUEST_ID_DUPLICATE"),
    )
    assert await held(i2v) == 0


async def test_a_request_id_of_an_earlier_spec_is_refused_and_named(i2v: Served) -> None:
    first = await i2v.submit(text_spec("first"))
    reused = a_request(text_spec("another"), first.request_id)
    error = await refused(submit(i2v, ALL, a_request(), reused))
    info = details(error)["ErrorInfo"]
    assert (error.code(), info.metadata["field"]) == (Code.ALREADY_EXISTS, "jobs[1].request_id")
    assert [reason(each) for each in await submit(i2v, EACH, a_request(), reused)] == ["", "REQUEST_ID_REUSED"]


async def test_a_batch_of_which_a_part_was_admitted_before_continues(i2v: Served) -> None:
    jobs = [a_request() for _ in range(4)]
    first = await submit(i2v, EACH, *jobs[:2])
    for mode in (EACH, ALL):
        results = await submit(i2v, mode, *jobs)
        assert [each.job.name for each in results[:2]] == [each.job.name for each in first]
    assert await held(i2v) == 4000


@pytest.mark.parametrize(
    ("request_", "field", "expected"),
    [
        (job_pb2.SubmitJobsRequest(mode=EACH), "jobs", "BATCH_SIZE_OUT_OF_RANGE"),
        (job_pb2.SubmitJobsRequest(mode=ALL, jobs=[a_request()] * 101), "jobs", "BATCH_SIZE_OUT_OF_RANGE"),
        (job_pb2.SubmitJobsRequest(jobs=[a_request()]), "mode", "BATCH_MODE_UNKNOWN"),
        (job_pb2.SubmitJobsRequest(jobs=[a_request()], mode=9), "mode", "BATCH_MODE_UNKNOWN"),  # type: ignore[arg-type]
        (
            job_pb2.SubmitJobsRequest(mode=EACH, jobs=[a_request(text_spec("x" * 30_000)) for _ in range(40)]),
            "jobs",
            "BATCH_TOO_LARGE",
        ),
    ],
    ids=["none", "many", "no mode", "unknown mode", "large"],
)
async def test_an_invalid_batch_is_refused(
    i2v: Served, request_: job_pb2.SubmitJobsRequest, field: str, expected: str
) -> None:
    error = await refused(i2v.jobs.SubmitJobs(request_, metadata=caller()))
    assert (error.code(), field_of(error)) == (Code.INVALID_ARGUMENT, (field, expected))


async def test_the_answer_to_the_largest_batch_is_within_the_limits_of_messages(i2v: Served) -> None:
    long = text_spec("x" * 10_000)  # longer than the card allows: each job has an error
    results = await submit(i2v, EACH, *(a_request(long) for _ in range(100)))
    assert {reason(each) for each in results} == {"PROMPT_TOO_LONG"}
    request = job_pb2.PreviewJobsRequest(specs=[long] * 100)
    found = await i2v.jobs.PreviewJobs(request, metadata=caller())
    assert len(found.jobs) == 100 and not found.admissible


async def test_a_preview_of_a_batch_counts_its_sum(i2v: Served) -> None:
    request = job_pb2.PreviewJobsRequest(specs=[text_spec(), text_spec(), text_spec(seconds=9)])
    found = await i2v.jobs.PreviewJobs(request, metadata=caller(**POOR))
    assert [each.admissible for each in found.jobs] == [True, False, False]
    assert (found.admissible, found.quote.amount_micros) == (False, 2000)
    exceeded = [(each.subject, each.measure, each.asked, each.left) for each in found.limits if each.exceeded]
    assert exceeded == [("user", "spend", 2000, -500)]
    assert all(not each.limits for each in found.jobs) and len(found.jobs[2].problems) == 1
    empty = await refused(i2v.jobs.PreviewJobs(job_pb2.PreviewJobsRequest(), metadata=caller()))
    assert field_of(empty) == ("specs", "BATCH_SIZE_OUT_OF_RANGE")


async def test_each_job_of_a_batch_may_come_with_its_quote(i2v: Served) -> None:
    specs = [text_spec(), text_spec(seconds=2)]
    found = await i2v.jobs.PreviewJobs(job_pb2.PreviewJobsRequest(specs=specs), metadata=caller())
    assert found.admissible
    jobs = [a_request(spec) for spec in specs]
    for job, previewed in zip(jobs, found.jobs, strict=True):
        job.quote_token = previewed.quote_token
    assert len(await submit(i2v, ALL, *jobs)) == 2
    jobs = [a_request(specs[0]), a_request(specs[1])]
    jobs[1].quote_token = found.jobs[0].quote_token
    error = await refused(submit(i2v, ALL, *jobs))
    info = details(error)["ErrorInfo"]
    assert (info.reason, info.metadata["field"]) == ("QUOTE_FOREIGN", "jobs[1].quote_token")
    assert info.metadata["quote_micros"] == "2000"


async def test_concurrent_batches_and_jobs_get_exactly_the_limit(i2v: Served) -> None:
    """The tenant may spend the price of three jobs, and each of its users that of one."""
    calls = [submit(i2v, EACH, a_request(), a_request(), tenant="poor", user=f"user-{n}") for n in range(6)]
    calls += [submit(i2v, ALL, a_request(), tenant="poor", user=f"user-{n}") for n in range(6, 12)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    results = [each for answer in answers if isinstance(answer, list) for each in answer]
    assert all(isinstance(answer, list | grpc.aio.AioRpcError) for answer in answers)
    assert sum(each.HasField("job") for each in results) == 3
