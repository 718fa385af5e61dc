"""Tenants share the slots of a backend by weight, and every job shows when it is expected to start and end."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.duration_pb2 import Duration
from i2v.v1 import job_pb2

from services.orchestrator.domain.caller import Caller
from services.orchestrator.role import Role
from services.reasons import JobReason, RequestReason
from services.rpc.status_codes import from_call
from tests.support.builders import ScriptedBackend, a_plan, numbered
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served, caller, served, text_spec
from tools.turnstile_backend import Turnstile

MANY = 200


async def admitted(i2v: Served, first: int, count: int, tenant: str, weight: int = 1, priority: int = 0) -> list[str]:
    now = datetime.now(UTC)
    times = {"create_time": now, "expire_time": now + timedelta(hours=1)}
    caller = Caller(tenant, "ann", replace(a_plan(), weight=weight, priority=priority))
    jobs = [numbered(number, tenant=tenant, **times) for number in range(first, first + count)]
    for job in jobs:
        await i2v.app.store.admissions.admit(job, "fingerprint", caller, "test")
    return [job.id for job in jobs]


@pytest.fixture
def turnstile() -> Turnstile:
    return Turnstile()


async def test_the_first_job_of_a_tenant_takes_the_next_free_slot(
    database: str, tmp_path: Path, turnstile: Turnstile
) -> None:
    async with served(database, tmp_path, {"test": (turnstile, 4)}) as i2v:
        await admitted(i2v, 0, MANY, "studio")
        await turnstile.until(4)
        for number in range(4):
            await turnstile.let_through(3)
            [job] = await admitted(i2v, MANY + number, 1, "story")
            await turnstile.let_through(1)
            assert turnstile.begun[-1] == job


async def test_tenants_share_the_slots_by_weight(database: str, tmp_path: Path, turnstile: Turnstile) -> None:
    async with AsyncExitStack() as stack:
        i2v = await stack.enter_async_context(served(database, tmp_path, {}, role=Role.API))
        heavy = set(await admitted(i2v, 0, MANY, "studio", weight=3))
        await admitted(i2v, MANY, MANY, "story", weight=1)
        await stack.enter_async_context(served(database, tmp_path, {"test": (turnstile, 4)}, role=Role.WORKER))
        await turnstile.until(4)
        await turnstile.let_through(116)
        counted = Counter(job in heavy for job in turnstile.begun)
        assert counted[True] / len(turnstile.begun) == pytest.approx(0.75, rel=0.1)


async def test_tenants_of_a_higher_priority_come_first(database: str, tmp_path: Path, turnstile: Turnstile) -> None:
    async with served(database, tmp_path, {"test": (turnstile, 1)}) as i2v:
        usual = await admitted(i2v, 0, 3, "studio")
        await turnstile.until(1)
        urgent = await admitted(i2v, 10, 2, "story", priority=1)
        await turnstile.let_through(4)
        assert turnstile.begun == [usual[0], *urgent, *usual[1:]]


async def test_jobs_of_one_tenant_begin_in_the_order_of_their_admission(
    database: str, tmp_path: Path, turnstile: Turnstile
) -> None:
    async with served(database, tmp_path, {"test": (turnstile, 2)}) as i2v:
        jobs = await admitted(i2v, 0, 12, "studio")
        await turnstile.until(2)
        await turnstile.let_through(10)
        assert sorted(turnstile.begun[:2]) == jobs[:2] and turnstile.begun[2:] == jobs[2:]


@pytest.fixture
async def i2v(database: str, tmp_path: Path, backend: ScriptedBackend) -> AsyncIterator[Served]:
    """One slot, whose jobs take a tenth of a second for each second of video, as far as was measured."""
    async with served(database, tmp_path, {"test": (backend, 1)}) as running:
        async with running.app.store.database.writing() as connection:
            await connection.execute(
                sa.text("INSERT INTO run_rates VALUES ('test', 'test-model quality 64x32', 1000, 100)")
            )
        yield running


async def test_a_waiting_job_shows_its_place_and_when_it_is_expected(i2v: Served, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    first = await i2v.submit(text_spec())
    await i2v.until(first.name, "fragment_ready")
    second, third = [await i2v.submit(text_spec(seconds=2, timeout=Duration(seconds=3600))) for _ in range(2)]
    async for answer in i2v.jobs.WatchJob(job_pb2.WatchJobRequest(name=third.name), metadata=caller()):
        if answer.HasField("heartbeat") and answer.heartbeat.queue_place == 2:
            beat = answer.heartbeat
            break
    shown, running = await i2v.job(third.name), await i2v.job(first.name)
    assert shown.queue_place == 2 and (await i2v.job(second.name)).queue_place == 1
    for expected in (shown, beat):
        assert expected.expected_start_time.seconds - first.create_time.seconds == pytest.approx(300, abs=20)
        assert expected.expected_end_time.seconds - expected.expected_start_time.seconds == pytest.approx(200, abs=1)
    assert not running.queue_place and not running.HasField("expected_start_time")
    assert running.expected_end_time.seconds - first.create_time.seconds == pytest.approx(100, abs=20)
    backend.gate.set()
    ended = await i2v.ended(third.name)
    assert not ended.HasField("expected_start_time") and not ended.HasField("expected_end_time")


async def test_work_that_has_not_begun_by_its_start_timeout_ends_and_costs_nothing(
    database: str, tmp_path: Path
) -> None:
    async with served(database, tmp_path, {}, role=Role.API) as i2v:
        late = await i2v.submit(text_spec(start_timeout=Duration(seconds=1)))
        job = await i2v.submit(text_spec())
        async with i2v.app.store.database.writing() as connection:
            await connection.execute(sa.text("UPDATE jobs SET create_time = create_time - interval '1 second'"))
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as i2v:
        ended = await i2v.ended(late.name)
        assert ended.state == job_pb2.Job.FAILED
        assert (ended.error.reason, ended.error.retryable) == (JobReason.START_TIMEOUT, True)
        assert (ended.charged.amount_micros, ended.attempt) == (0, 0)
        assert ended.spec.start_timeout.seconds == 1
        assert (await i2v.ended(job.name)).state == job_pb2.Job.SUCCEEDED
        assert (await i2v.usage()).tenant.reserved.amount_micros == 0


async def test_a_waiting_job_ends_by_its_start_timeout_while_all_slots_are_taken(
    i2v: Served, backend: ScriptedBackend
) -> None:
    backend.gate.clear()
    await i2v.submit(text_spec())
    async with i2v.app.store.database.writing() as connection:
        await connection.execute(sa.text("DELETE FROM run_rates"))  # it would be refused at once
    waiting = await i2v.submit(text_spec(start_timeout=Duration(seconds=1)))
    assert (await i2v.ended(waiting.name)).error.reason == JobReason.START_TIMEOUT
    backend.gate.set()


@pytest.mark.parametrize(("given", "field"), [(0.5, "spec.start_timeout"), (86_401.0, "spec.start_timeout")])
async def test_a_start_timeout_out_of_range_is_refused(i2v: Served, given: float, field: str) -> None:
    timeout = Duration()
    timeout.FromMilliseconds(round(given * 1000))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await i2v.submit(text_spec(start_timeout=timeout))
    assert [each.field for each in from_call(refused.value).violations] == [field]


async def test_a_job_whose_deadline_cannot_be_met_is_refused_and_nothing_is_charged(
    i2v: Served, backend: ScriptedBackend
) -> None:
    backend.gate.clear()
    await i2v.submit(text_spec(timeout=Duration(seconds=3600)))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await i2v.submit(text_spec(seconds=2, timeout=Duration(seconds=30)))
    failure = from_call(refused.value)
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        RequestReason.DEADLINE_UNREACHABLE,
    )
    assert failure.metadata["expected_end_time"] > failure.metadata["expire_time"]
    assert (await i2v.usage()).tenant.reserved.amount_micros == 1000
    backend.gate.set()


async def test_a_full_queue_refuses_new_jobs_and_answers_repeats(database: str, tmp_path: Path) -> None:
    def change(values: dict[str, object]) -> None:
        values |= {"max_queued_jobs": 3}

    async with served(database, tmp_path, {}, role=Role.API, change=change) as i2v:
        jobs = [await i2v.submit(text_spec()) for _ in range(3)]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await i2v.submit(text_spec())
        failure = from_call(refused.value)
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            RequestReason.QUEUE_LIMIT_REACHED,
        )
        assert failure.metadata["limit"] == "3" and failure.retry_after_s is not None and failure.retry_after_s >= 1
        assert (await i2v.submit(text_spec(), request_id=jobs[0].request_id)).name == jobs[0].name
        assert (await i2v.usage()).tenant.reserved.amount_micros == 3000


async def test_the_command_shows_the_place_and_the_expected_times(
    i2v: Served, backend: ScriptedBackend, tmp_path: Path
) -> None:
    async with i2v.app.store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE run_rates SET seconds_per_second = 5"))
    who: dict[str, str] = {"key": "studio-key", "I2V_USER": "ann"}
    command = Command(i2v.address, tmp_path)
    backend.gate.clear()
    await i2v.until((await i2v.submit(text_spec())).name, "fragment_ready")
    asked = ("generate", "--prompt", "a wave", "--model", "test-model", "--start-timeout", "600", "--detach")
    name = (await command(*asked, **who)).out.strip()
    watching = await command.start("watch", name, **who)
    assert watching.stderr is not None
    while b"place 1 in the queue, starts about 20" not in (line := await watching.stderr.readline()):
        assert line, "the command ended"
    assert b", ends about 20" in line
    shown = (await command("job", name, **who)).out
    assert "1 in the queue" in shown and "expected start" in shown and "expected end" in shown
    refused = await command(*asked[:-2], "1", "--detach", **who)
    assert refused.code != 0 and "after its start timeout" in refused.err
    backend.gate.set()
    assert (await command.end(watching)).code == 0
    assert "expected" not in (await command("job", name, **who)).out
