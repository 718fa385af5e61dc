"""Stops of jobs, and deletions by their users."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from i2v.v1 import job_pb2, live_pb2, live_pb2_grpc

from services.orchestrator.attempt.stop_request import STOP_CHECK_S
from services.orchestrator.store.notification_listener import STOPS
from tests.support.builders import ScriptedBackend
from tests.support.job_books import books_are_right
from tests.support.served_orchestrator import Served, caller, text_spec

State = job_pb2.Job


async def a_running_job(i2v: Served, backend: ScriptedBackend) -> job_pb2.Job:
    """Returns a job that has made its first fragment, and waits for the backend's gate before the next."""
    backend.gate.clear()
    job = await i2v.submit(text_spec())
    await i2v.until(job.name, "fragment_ready")
    return job


async def test_a_queued_job_is_cancelled_at_once_for_nothing(i2v: Served, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    busy = [await i2v.submit(text_spec()) for _ in range(2)]
    for job in busy:
        await i2v.until(job.name, "fragment_ready")
    waiting = await i2v.submit(text_spec())
    assert (await i2v.cancel(waiting.name)).state == State.CANCELLED
    assert (await i2v.cancel(waiting.name)).charged.amount_micros == 0
    backend.gate.set()
    for job in busy:
        await i2v.ended(job.name)
    assert len(backend.attempts) == 2
    await books_are_right(i2v, spent=2000)


async def test_a_running_job_is_stopped_and_charged_for_what_was_made(i2v: Served, backend: ScriptedBackend) -> None:
    job = await a_running_job(i2v, backend)
    assert (await i2v.cancel(job.name)).state == State.CANCELLING
    job = await i2v.ended(job.name)
    assert (job.state, job.charged.amount_micros, backend.closed) == (State.CANCELLED, 500, 1)
    await books_are_right(i2v, spent=500)


async def test_a_stop_is_heard_within_seconds_though_the_listening_connection_was_cut(
    i2v: Served, backend: ScriptedBackend
) -> None:
    job = await a_running_job(i2v, backend)
    async with i2v.app.store.database.writing() as connection:
        listening = "FROM pg_stat_activity WHERE datname = current_database() AND query = :listens"
        cut = await connection.execute(
            sa.text(f"SELECT pg_terminate_backend(pid) {listening}"), {"listens": f"LISTEN {STOPS}"}
        )
        assert any(cut.scalars())
    await i2v.cancel(job.name)  # perhaps before anybody listens again
    async with asyncio.timeout(STOP_CHECK_S / 2):
        job = await i2v.ended(job.name)
    assert job.state == State.CANCELLED
    await books_are_right(i2v, spent=500)


async def test_cancelling_a_job_that_has_ended_changes_nothing(i2v: Served) -> None:
    job = await i2v.ended((await i2v.submit(text_spec())).name)
    assert await i2v.cancel(job.name) == job


async def test_a_deleted_job_is_gone_for_its_user_and_its_video_and_its_cost_stay(i2v: Served) -> None:
    request_id = str(uuid.uuid4())
    job = await i2v.ended((await i2v.submit(text_spec(), request_id)).name)
    deleted = await i2v.delete_job(job.name)
    assert deleted.HasField("delete_time")
    assert await i2v.delete_job(job.name) == await i2v.delete_job(job.name, stop=True) == deleted
    deleted.ClearField("delete_time")
    assert deleted == job
    assert (await i2v.submit(text_spec(), request_id)).name == job.name, "nothing is made twice"
    live: Any = live_pb2_grpc.LiveServiceStub(i2v.channel)
    for call in (
        i2v.job(job.name),
        i2v.cancel(job.name),
        i2v.jobs.ResumeJob(job_pb2.ResumeJobRequest(name=job.name, request_id=request_id), metadata=caller()),
        live.SignLiveUrl(live_pb2.SignLiveUrlRequest(name=job.name), metadata=caller()),
        anext(aiter(i2v.watch(job.name))),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert len(await i2v.download(job.output.asset)) == job.output.size_bytes
    await books_are_right(i2v, spent=1000)


async def test_a_job_that_has_not_ended_is_deleted_only_if_it_may_be_stopped(
    i2v: Served, backend: ScriptedBackend
) -> None:
    job = await a_running_job(i2v, backend)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await i2v.delete_job(job.name)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    events = [event async for event in stopped_by(i2v, job.name)]
    assert events[-1].WhichOneof("event") == "cancelled", "whoever watched it already sees its end"
    with pytest.raises(grpc.aio.AioRpcError):
        await i2v.job(job.name)
    await books_are_right(i2v, spent=500)


async def stopped_by(i2v: Served, name: str) -> AsyncIterator[job_pb2.JobEvent]:
    """Watches a job, and deletes it once it runs."""
    async for event in i2v.watch(name):
        if event.WhichOneof("event") == "fragment_ready":
            assert (await i2v.delete_job(name, stop=True)).state == State.CANCELLING
        yield event
