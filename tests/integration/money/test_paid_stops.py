"""Stops of paid work: what they cost at each stage of the task."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.orchestrator.backends.provider_backend import ProviderBackend
from services.orchestrator.domain import next_event
from services.orchestrator.ports.backend import BackendEvent, GenerationRequest, TaskSubmitting
from tests.support.paid_work import State, journal, money, remotely, spec
from tests.support.scripted_provider import Cancelled, Found, ScriptedProvider
from tests.support.served_orchestrator import Served


async def test_a_stopped_task_that_continues_costs_its_price(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.working.clear()
    job = await i2v.submit(spec())
    await i2v.until(job.name, "accepted")
    await i2v.cancel(job.name)
    ended = await i2v.ended(job.name)
    assert (ended.state, ended.charged.amount_micros, vendor.stopped) == (State.CANCELLED, 5000, ["task-1"])


async def test_a_task_that_the_vendor_stops_is_free(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.stop_outcome = Cancelled.STOPPED
    vendor.working.clear()
    job = await i2v.submit(spec())
    await i2v.until(job.name, "accepted")
    await i2v.cancel(job.name)
    ended = await i2v.ended(job.name)
    assert (ended.state, ended.charged.amount_micros, await journal(i2v)) == (State.CANCELLED, 0, ["released"])


async def stop_listening(store: Any) -> None:
    """Breaks the connection that listens for stops; another is made half a second later."""
    async with store.database.reading() as connection:
        ended = await connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        )
        assert any(ended.scalars()), "no connection was listening"


async def test_a_stop_just_before_the_handover_is_not_an_error(
    database: str, tmp_path: Path, vendor: ScriptedProvider
) -> None:
    class Late(ProviderBackend):
        """Requests a stop just before the task is submitted."""

        async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
            async with aclosing(super().generate(attempt)) as events:
                async for event in events:
                    if isinstance(event, TaskSubmitting):
                        await stop_listening(stores[0])  # the handover is quicker than the next connection
                        await stores[0].jobs.record(attempt.job_id, next_event.cancel)
                    yield event

    stores: list[Any] = []
    async with remotely(database, tmp_path, vendor, backend=Late, limits=1) as i2v:
        stores.append(i2v.app.store)
        ended = await i2v.ended((await i2v.submit(spec())).name)
        assert (ended.state, ended.charged.amount_micros, vendor.submitted) == (State.CANCELLED, 0, [])


async def test_a_stop_waits_for_the_answer_to_a_submission(i2v: Served, vendor: ScriptedProvider) -> None:
    vendor.accepting.clear()
    vendor.working.clear()
    job = await i2v.submit(spec())
    await vendor.asked.wait()
    await i2v.cancel(job.name)
    vendor.accepting.set()
    ended = await i2v.ended(job.name)
    assert (ended.state, ended.charged.amount_micros, vendor.stopped) == (State.CANCELLED, 5000, ["task-1"])


@pytest.mark.parametrize(
    ("finding", "outcome", "charged", "stopped"),
    [
        (Found.FOUND, Cancelled.STOPPED, 0, ["task-1"]),
        (Found.FOUND, Cancelled.GOES_ON, 5000, ["task-1"]),
        (Found.ABSENT, Cancelled.GOES_ON, 0, []),
    ],
)
async def test_a_wish_to_stop_outlives_a_lost_answer(
    i2v: Served, vendor: ScriptedProvider, finding: Any, outcome: Any, charged: int, stopped: list[str]
) -> None:
    vendor.losses, vendor.stop_outcome = 1, outcome
    vendor.accepting.clear()
    job = await i2v.submit(spec())
    await vendor.asked.wait()
    await i2v.cancel(job.name)
    vendor.accepting.set()
    await i2v.until(job.name, "reconciling")
    vendor.finding, vendor.found_ref = finding, "task-1" if finding == Found.FOUND else ""
    ended = await i2v.ended(job.name)
    assert (ended.state, ended.charged.amount_micros) == (State.CANCELLED, charged)
    assert (vendor.stopped, vendor.attached, len(vendor.submitted)) == (stopped, [], 1)
    assert await money(i2v) == (0, charged)
