"""What becomes of a job's trace: in the database, at the next attempt, and where it is not recorded."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from i2v.v1 import job_pb2
from opentelemetry.sdk.trace import ReadableSpan
from prometheus_client.openmetrics.exposition import generate_latest

from services.errors import Unavailable
from services.orchestrator.domain.event import JobError
from services.orchestrator.ports.backend import AttemptFailed
from services.orchestrator.store.schema import jobs
from services.reasons import JobReason
from services.tracing import spans
from services.tracing.trace_context import TraceContext
from tests.support.builders import ScriptedBackend
from tests.support.recorded_spans import named, recording
from tests.support.served_orchestrator import Served, caller, served, text_spec

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
async def i2v(database: str, tmp_path: Path, backend: ScriptedBackend) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (backend, 2)}) as running:
        yield running


async def submitted(i2v: Served, flags: str = "") -> job_pb2.Job:
    headers = (("traceparent", f"00-{TRACE}-{SPAN}-{flags}"),) if flags else ()
    request = job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=text_spec())
    return await i2v.jobs.SubmitJob(request, metadata=(*caller(), *headers))


async def stored(i2v: Served, job: job_pb2.Job) -> str | None:
    query = sa.select(jobs.c.trace_context).where(jobs.c.id == job.name.removeprefix("jobs/"))
    async with i2v.app.store.database.reading() as connection:
        found: str | None = (await connection.execute(query)).scalar_one()
    return found


async def attempts(kept: list[ReadableSpan], number: int) -> list[ReadableSpan]:
    """Waits for the spans of so many attempts: the event that ends a job comes before the end of its last one."""
    async with asyncio.timeout(60):
        while len(found := [span for span in kept if span.name == "attempt"]) < number:  # noqa: ASYNC110  No event.
            await asyncio.sleep(0.005)
    return found


async def test_each_attempt_is_in_the_trace_of_the_submission_and_linked_to_it(
    i2v: Served, backend: ScriptedBackend
) -> None:
    backend.troubles += [Unavailable("not now", reason=JobReason.ENGINE_BUSY)]
    with recording() as kept:
        job = await submitted(i2v, "01")
        assert (await i2v.ended(job.name)).state == job_pb2.Job.SUCCEEDED
        first, second = await attempts(kept, 2)
    admission = named(kept, "admit")
    assert admission.context is not None
    for number, span in enumerate((first, second), 1):
        assert span.context is not None and f"{span.context.trace_id:032x}" == TRACE
        assert span.parent is not None and span.parent.span_id == admission.context.span_id
        assert [link.context.span_id for link in span.links] == [admission.context.span_id]
        assert (span.attributes or {})["i2v.attempt"] == number
    assert (first.attributes or {})["i2v.outcome"] == "TemporarilyUnavailable"
    assert (second.attributes or {})["i2v.outcome"] == "Made"
    wait = named(kept, "wait in queue")
    assert wait.start_time is not None and wait.end_time is not None and wait.start_time <= wait.end_time
    assert await stored(i2v, job) == f"00-{TRACE}-{admission.context.span_id:016x}-01"


async def test_the_trace_of_a_job_is_the_exemplar_of_its_durations(i2v: Served) -> None:
    with recording() as kept:
        await i2v.ended((await submitted(i2v, "01")).name)
        await attempts(kept, 1)
    lines = [
        line for line in generate_latest(i2v.registry).decode().splitlines() if f'# {{trace_id="{TRACE}"}}' in line
    ]
    for name in (
        "i2v_jobs_admitted_total",
        "i2v_job_wait_seconds",
        "i2v_job_first_fragment_seconds",
        "i2v_job_seconds",
    ):
        assert any(line.startswith(name) for line in lines), name


async def test_an_attempt_that_fails_says_why_by_its_outcome(i2v: Served, backend: ScriptedBackend) -> None:
    words = "it does not like these words"
    backend.troubles += [AttemptFailed(JobError(JobReason.ENGINE_REFUSED, words, retryable=False))]
    with recording() as kept:
        assert (await i2v.ended((await submitted(i2v)).name)).state == job_pb2.Job.FAILED
        (span,) = await attempts(kept, 1)
    assert (span.attributes or {})["i2v.outcome"] == "Refused" and words not in span.to_json()


async def test_a_job_that_is_not_recorded_stays_so_in_the_worker(i2v: Served) -> None:
    with recording("parentbased_always_off") as kept:
        job = await submitted(i2v)
        known = TraceContext.of_text(await stored(i2v, job) or "")
        assert known is not None and not known.sampled
        await i2v.ended(job.name)
    with recording() as later:
        job = await submitted(i2v, "00")
        await i2v.ended(job.name)
    assert kept == [] and not await attempts(later, 0)


async def test_a_job_of_a_process_that_does_not_trace_has_a_trace_from_its_attempt_on(
    i2v: Served, backend: ScriptedBackend
) -> None:
    backend.gate.clear()
    backend.troubles += [Unavailable("not now", reason=JobReason.ENGINE_BUSY)]
    job = await submitted(i2v, "01")
    assert await stored(i2v, job) is None and not spans.is_on()
    await i2v.until(job.name, "retrying")
    with recording() as kept:
        backend.gate.set()
        await i2v.ended(job.name)
        (span,) = await attempts(kept, 1)
    assert span.parent is None and not span.links


async def test_the_jobs_of_a_batch_share_the_span_of_their_admission(i2v: Served) -> None:
    request = job_pb2.SubmitJobsRequest(
        jobs=[job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=text_spec()) for _ in range(3)],
        mode=job_pb2.SubmitJobsRequest.ALL_OR_NOTHING,
    )
    with recording() as kept:
        answer = await i2v.jobs.SubmitJobs(request, metadata=caller())
        texts = {await stored(i2v, result.job) for result in answer.results}
        for result in answer.results:
            await i2v.ended(result.job.name)
        found = await attempts(kept, 3)
    admission = named(kept, "admit batch")
    assert admission.context is not None and len(texts) == 1
    assert {span.parent.span_id for span in found if span.parent} == {admission.context.span_id}
