"""Drains of backends, through the real server and worker: what runs ends, what waits waits, what is new is refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from i2v.admin.v1 import audit_pb2, backend_pb2
from i2v.v1 import catalog_pb2, job_pb2

from tests.integration.tenants.conftest import FIRST_OPERATOR, Admin, refusal
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served, caller, served, text_spec

WITHIN_S = 5.0
SEVERAL_POLLS_S = 2.0


async def drain(admin: Admin, reason: str = "a new driver") -> backend_pb2.Backend:
    found: backend_pb2.Backend = await admin.DrainBackend(
        backend_pb2.DrainBackendRequest(name="backends/test", reason=reason)
    )
    return found


async def undrain(admin: Admin) -> None:
    await admin.UndrainBackend(backend_pb2.UndrainBackendRequest(name="backends/test"))


async def holds(i2v: Served, *, drained: bool) -> None:
    """Waits until the process knows that the backend is drained, or that it is not: within five seconds."""
    request = catalog_pb2.GetModelRequest(name="models/test-model")
    async with asyncio.timeout(WITHIN_S):
        while True:
            if (await i2v.catalog.GetModel(request, metadata=caller())).drained == drained:
                return


async def waits(i2v: Served, job: job_pb2.Job) -> None:
    """Sees that a job does not begin, for longer than the worker takes for several polls."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SEVERAL_POLLS_S):
            await i2v.until(job.name, "fragment_ready")
    assert (await i2v.job(job.name)).state == job_pb2.Job.QUEUED


async def test_running_jobs_end_waiting_ones_go_on_afterwards_and_new_ones_are_refused(
    i2v: Served, admin: Admin, backend: ScriptedBackend
) -> None:
    backend.gate.clear()
    running = await i2v.submit(text_spec())
    await i2v.until(running.name, "fragment_ready")
    waiting = [await i2v.submit(text_spec()) for _ in range(2)]
    drained = await drain(admin)
    assert (drained.drain.reason, drained.queued_jobs, drained.running_jobs) == ("a new driver", 2, 1)
    await holds(i2v, drained=True)
    assert i2v.registry.get_sample_value("i2v_backend_drained", {"backend": "test"}) == 1
    backend.gate.set()
    assert (await i2v.ended(running.name)).state == job_pb2.Job.SUCCEEDED
    assert await refusal(i2v.submit(text_spec())) == ("UNAVAILABLE", "BACKEND_DRAINED")
    preview = job_pb2.PreviewJobRequest(spec=text_spec())
    previewed = await i2v.jobs.PreviewJob(preview, metadata=caller())
    assert not previewed.admissible
    assert [(each.field, each.reason) for each in previewed.problems] == [("spec.model", "BACKEND_DRAINED")]
    await waits(i2v, waiting[0])  # a slot is free
    assert len(backend.attempts) == 1
    await undrain(admin)
    ended = [await i2v.ended(job.name) for job in waiting]
    assert [job.state for job in ended] == [job_pb2.Job.SUCCEEDED] * 2
    assert ended[0].start_time.ToNanoseconds() < ended[1].start_time.ToNanoseconds()  # they kept their places
    assert i2v.registry.get_sample_value("i2v_backend_drained", {"backend": "test"}) == 0
    assert (await i2v.ended((await i2v.submit(text_spec())).name)).state == job_pb2.Job.SUCCEEDED


async def test_a_repeated_request_gets_its_job_while_the_backend_is_drained(i2v: Served, admin: Admin) -> None:
    request_id = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
    first = await i2v.submit(text_spec(), request_id=request_id)
    await drain(admin)
    await holds(i2v, drained=True)
    assert (await i2v.submit(text_spec(), request_id=request_id)).name == first.name


async def test_a_drain_survives_a_restart_of_the_worker(database: str, tmp_path: Path) -> None:
    key = tmp_path / "operator-key"
    key.write_text(FIRST_OPERATOR)

    def change(values: dict[str, Any]) -> None:
        values |= {"operator_key_file": str(key)}

    backend = ScriptedBackend()
    backend.gate.clear()
    async with served(database, tmp_path, {"test": (backend, 1)}, change=change) as i2v:
        begun, waiting = await i2v.submit(text_spec()), await i2v.submit(text_spec())
        await i2v.until(begun.name, "fragment_ready")
        await drain(Admin(i2v.channel))
    backend = ScriptedBackend()
    async with served(database, tmp_path, {"test": (backend, 1)}, change=change) as i2v:
        await waits(i2v, waiting)
        # The stopped job waits for its next attempt like the other.
        assert backend.attempts == []
        await undrain(Admin(i2v.channel))
        for job in (begun, waiting):
            assert (await i2v.ended(job.name)).state == job_pb2.Job.SUCCEEDED


async def test_operators_see_the_workers_and_roles_are_checked(i2v: Served, admin: Admin) -> None:
    await i2v.ended((await i2v.submit(text_spec())).name)  # from then on it is known how long jobs run
    async with asyncio.timeout(15):
        while True:
            (found,) = (await admin.ListBackends(backend_pb2.ListBackendsRequest())).backends
            if found.workers and found.HasField("expected_wait"):
                break
            await asyncio.sleep(0.1)
    (worker,) = found.workers
    assert (found.name, worker.name, worker.readiness) == (
        "backends/test",
        "worker-0",
        backend_pb2.Backend.Worker.READY,
    )
    assert not found.HasField("drain")
    unknown = backend_pb2.DrainBackendRequest(name="backends/none")
    assert await refusal(admin.DrainBackend(unknown)) == ("NOT_FOUND", "NOT_FOUND")
    long = backend_pb2.DrainBackendRequest(name="backends/test", reason="x" * 501)
    assert await refusal(admin.DrainBackend(long)) == ("INVALID_ARGUMENT", "REASON_MISSING")
    assert (await refusal(admin.of("studio-key").ListBackends(backend_pb2.ListBackendsRequest())))[0] == (
        "PERMISSION_DENIED"
    )
    entries = (await admin.ListAuditEntries(audit_pb2.ListAuditEntriesRequest())).entries
    assert [(entry.action, entry.outcome) for entry in entries] == [
        ("DrainBackend", "REASON_MISSING"),
        ("DrainBackend", "NOT_FOUND"),
    ]


@pytest.fixture
async def command(i2v: Served, tmp_path: Path) -> AsyncIterator[Command]:
    yield Command(i2v.address, tmp_path)


async def test_the_commands_drain_show_and_undrain(i2v: Served, command: Command) -> None:
    async def ran(*arguments: str, key: str = FIRST_OPERATOR, code: int = 0) -> str:
        ended = await command(*arguments, key=key)
        assert ended.code == code, (arguments, ended.out, ended.err)
        return ended.out + ended.err

    assert "in use" in await ran("admin", "backends")
    assert "a new driver" in await ran("admin", "drain", "test", "--reason", "a new driver")
    await holds(i2v, drained=True)
    assert "drained" in await ran("admin", "backends")
    assert "test-model (drained)" in await ran("models", key="studio-key")
    assert "maintenance" in await ran("preview", "--model", "test-model", "--prompt", "x", key="studio-key", code=3)
    assert "in use" in await ran("admin", "undrain", "test")
    assert "UndrainBackend" in await ran("admin", "log")
