"""A running worker sends heartbeats even if its vendors do not answer, and every unknown outcome is reconciled."""

import asyncio
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from i2v.provider.v1 import provider_pb2
from i2v.v1 import job_pb2

from services.orchestrator.backends.provider_backend import ProviderBackend
from services.orchestrator.domain import paid_call
from services.orchestrator.domain.paid_call import PaidCall
from services.orchestrator.pace import Pace
from services.orchestrator.store.schema import executors
from tests.support.paid_work import remotely
from tests.support.scripted_provider import Found, ScriptedProvider, a_video, providing
from tests.support.served_orchestrator import GOLDEN, Served, served, text_spec

SILENT_S = 1.5


class Slow(ProviderBackend):
    """A vendor that answers only submissions once it is slow."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.slow, self.searched = False, asyncio.Event()

    async def capabilities(self) -> provider_pb2.Capabilities:
        if self.slow:
            await asyncio.Event().wait()
        return await super().capabilities()

    async def find(self, call: PaidCall) -> paid_call.Found:
        self.searched.set()
        await asyncio.Event().wait()
        raise AssertionError


def change(values: dict[str, Any]) -> None:
    values |= {"models_file": GOLDEN / "remote.toml", "find_s": 0.2, "silent_s": SILENT_S}


async def lost(i2v: Served, vendor: ScriptedProvider, jobs: int) -> list[str]:
    """Submits jobs whose answers are lost."""
    vendor.losses = jobs
    names = [(await i2v.submit(text_spec(seconds=5, model="remote-text"))).name for _ in range(jobs)]
    for name in names:
        await i2v.until(name, "reconciling")
    return names


async def test_a_worker_sends_heartbeats_while_its_vendor_does_not_answer(database: str, tmp_path: Path) -> None:
    vendor = ScriptedProvider(a_video())
    async with providing(vendor) as address:
        backend = Slow(address)
        async with served(database, tmp_path, {"vendor": (backend, 4)}, change=change) as i2v:
            await lost(i2v, vendor, 12)
            backend.slow = True
            await backend.searched.wait()
            beats = set()
            while len(beats) < 6:  # goes on though nothing is answered
                async with i2v.app.store.database.reading() as connection:
                    beats |= set((await connection.execute(sa.select(executors.c.beat_time))).scalars())
                await asyncio.sleep(0.1)
            # A job that is not started in time, because all slots are taken, is ended too.
            for _ in range(4):
                await i2v.until((await i2v.submit(text_spec(seconds=5, model="remote-text"))).name, "started")
            late = text_spec(seconds=5, model="remote-text")
            late.timeout.seconds = 1
            ended = await i2v.ended((await i2v.submit(late)).name)
            assert (ended.state, ended.error.reason) == (job_pb2.Job.FAILED, "DEADLINE_EXCEEDED")
            assert ended.attempt == 0
        await backend.close()


async def test_every_unknown_outcome_has_its_turn_and_is_counted(database: str, tmp_path: Path) -> None:
    pace = Pace(reconcile_page=2)
    vendor = ScriptedProvider(a_video())
    async with remotely(database, tmp_path, vendor, change=change, pace=pace) as i2v:
        names = await lost(i2v, vendor, 5)
        asked: set[str] = set()
        async with asyncio.timeout(90):
            while len(asked) < 5 or i2v.registry.get_sample_value("i2v_jobs_reconciling") != 5:
                await asyncio.sleep(0.05)
                asked = {request.submission_id for request in vendor.found}
        vendor.finding = Found.ABSENT
        ends = [await i2v.ended(name) for name in names]
        assert {end.state for end in ends} == {job_pb2.Job.FAILED}
