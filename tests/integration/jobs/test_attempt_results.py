"""What an attempt returns to the workflow that runs it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.errors import Unavailable
from services.orchestrator.attempt.result import AwaitsReconciliation, JobEnded, RetryAfter, TakenOver
from services.orchestrator.attempt.runner import AttemptRunner
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.domain import next_event
from services.orchestrator.domain.event import Body, Cancelled, Retrying, Started, Submitting
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.paid_call import Submission
from services.orchestrator.ports.jobs import Decide, Jobs, Recorded
from services.orchestrator.store.postgres_store import PostgresStore
from services.reasons import ServiceReason
from tests.support.attempt_runners import an_attempt_runner
from tests.support.builders import NOON, FakeClock, ScriptedBackend, a_job, admit


@pytest.fixture
async def runner(
    store: PostgresStore, clock: FakeClock, backend: ScriptedBackend, tmp_path: Path
) -> AsyncIterator[AttemptRunner]:
    blobs = LocalBlobs(tmp_path / "blobs")
    yield an_attempt_runner(store, clock, blobs, backend, tmp_path)
    await blobs.close()


@pytest.fixture
async def job(store: PostgresStore) -> Job:
    return await admit(store, a_job())


async def test_a_job_that_has_ended_gets_no_attempt(
    store: PostgresStore, runner: AttemptRunner, backend: ScriptedBackend, job: Job
) -> None:
    await store.jobs.record(job.id, lambda _: Cancelled(charged_micros=0))
    assert await runner.run(job.id) == JobEnded()
    assert backend.attempts == []


async def test_a_queue_entry_that_the_job_has_left_starts_no_attempt(
    runner: AttemptRunner, backend: ScriptedBackend, job: Job
) -> None:
    assert await runner.run(job.id, "an-older-entry") == TakenOver()
    assert backend.attempts == []


async def test_a_submission_without_an_answer_is_left_to_the_reconciler(
    store: PostgresStore, runner: AttemptRunner, backend: ScriptedBackend, job: Job
) -> None:
    await store.jobs.record(job.id, lambda _: Started(1))
    await store.jobs.record(job.id, lambda _: Submitting("test"), step=Submission("model"))
    assert await runner.run(job.id) == AwaitsReconciliation()
    assert (await store.jobs.get(job.id)).state is State.RECONCILING
    assert await runner.run(job.id) == AwaitsReconciliation()
    assert backend.attempts == []


async def test_a_job_waits_three_minutes_for_its_models_card_and_then_fails_for_nothing(
    store: PostgresStore, runner: AttemptRunner, backend: ScriptedBackend, clock: FakeClock
) -> None:
    spec = replace(a_job().spec, model="newcomer")
    job = await admit(store, a_job(spec=spec, expire_time=NOON + timedelta(hours=1)))
    assert await runner.run(job.id) == RetryAfter(next_event.RETRY_FIRST_S)
    clock.advance(179)
    assert isinstance(await runner.run(job.id), RetryAfter)
    clock.advance(1)
    assert await runner.run(job.id) == JobEnded()
    ended = await store.jobs.get(job.id)
    assert ended.error is not None and (ended.error.reason, ended.error.retryable) == ("MODEL_GONE", False)
    assert (ended.state, ended.charged_micros, backend.attempts) == (State.FAILED, 0, [])


async def test_an_outage_is_retried_by_the_same_entry_after_a_wait(
    runner: AttemptRunner, backend: ScriptedBackend, job: Job
) -> None:
    backend.troubles = [Unavailable("not now", reason="ENGINE_AWAY")]
    assert await runner.run(job.id) == RetryAfter(next_event.RETRY_FIRST_S)
    assert await runner.run(job.id) == JobEnded()


async def test_a_superseded_attempt_does_not_change_the_job(
    store: PostgresStore, runner: AttemptRunner, backend: ScriptedBackend, job: Job
) -> None:
    backend.gate.clear()
    running = asyncio.create_task(runner.run(job.id))
    await backend.begun.wait()
    await store.jobs.record(job.id, lambda _: Started(2))
    backend.gate.set()
    assert await running == TakenOver()
    after = await store.jobs.get(job.id)
    assert (after.state, after.attempt) == (State.RUNNING, 2)


class LosesAnswers:
    """Jobs whose connection breaks after the first commit of an event of one kind, before the answer."""

    def __init__(self, jobs: Jobs, kind: type[Body]) -> None:
        self._jobs = jobs
        self._kind: type[Body] | None = kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    async def record(self, job_id: str, decide: Decide, **more: Any) -> Recorded:
        recorded = await self._jobs.record(job_id, decide, **more)
        if self._kind is not None and recorded.event is not None and isinstance(recorded.event.body, self._kind):
            self._kind = None
            raise Unavailable("The database cannot be reached.", reason=ServiceReason.DATABASE_UNAVAILABLE)
        return recorded


async def test_an_attempt_that_lost_the_answer_to_its_own_retry_continues_the_job(
    store: PostgresStore, clock: FakeClock, backend: ScriptedBackend, job: Job, tmp_path: Path
) -> None:
    blobs, jobs = LocalBlobs(tmp_path / "blobs"), LosesAnswers(store.jobs, Retrying)
    runner = an_attempt_runner(store, clock, blobs, backend, tmp_path, jobs=jobs)
    backend.troubles = [Unavailable("not now", reason="ENGINE_AWAY")]
    assert isinstance(await runner.run(job.id), RetryAfter)
    assert (await store.jobs.get(job.id)).state is State.QUEUED
    assert await runner.run(job.id) == JobEnded()
    await blobs.close()
