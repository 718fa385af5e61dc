"""Jobs are dequeued when they arrive and when a slot is free, not only at the next poll."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from i2v.v1 import job_pb2

from services.orchestrator.worker.new_work_poller import WakeEvent
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, served, text_spec


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
async def i2v(database: str, tmp_path: Path, backend: ScriptedBackend) -> AsyncIterator[Served]:
    """One slot, and a queue that is polled every ten minutes unless the wake event is set."""
    async with served(database, tmp_path, {"test": (backend, 1)}) as running:
        async with running.app.store.database.writing() as connection:
            await connection.execute(sa.text("UPDATE dbos.queues SET polling_interval_sec = 600"))
        await running.ended((await running.submit(text_spec())).name)
        yield running


async def test_a_notification_wakes_a_queue_at_once(i2v: Served) -> None:
    for _ in range(3):
        job = await i2v.ended((await i2v.submit(text_spec())).name)
        assert job.state == job_pb2.Job.SUCCEEDED


async def test_a_free_slot_is_filled_immediately(i2v: Served, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    jobs = [await i2v.submit(text_spec()) for _ in range(3)]
    await i2v.until(jobs[0].name, "fragment_ready")
    backend.gate.set()
    assert {(await i2v.ended(job.name)).state for job in jobs} == {job_pb2.Job.SUCCEEDED}


def test_a_set_event_ends_the_loop_and_a_wake_up_only_its_pause() -> None:
    wake_event = WakeEvent()
    wake_event.wake()
    assert not wake_event.wait(60)
    assert not wake_event.wait(60)  # the second poll after a wake-up
    assert not wake_event.wait(0.01)
    wake_event.set()
    assert wake_event.wait(60) and wake_event.wait(60)
