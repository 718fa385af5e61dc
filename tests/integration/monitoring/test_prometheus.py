"""A real Prometheus watches a running installation and its faults: the expected alerts fire, and no others."""

import asyncio
import signal
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from i2v.v1 import job_pb2, job_pb2_grpc

from services.orchestrator.store.database import plain_url
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.postgres_proxy import PostgresProxy, postgres_proxy
from tests.support.prometheus_process import OF_THE_MACHINE, Prometheus, prometheus
from tests.support.promtool import needs_prometheus
from tests.support.served_orchestrator import GOLDEN, caller, text_spec
from tests.support.worker_processes import fake_models, worker
from tools import dashboards
from tools.stack_process import free_port

SHOWN: Mapping[str, set[str]] = {
    "overview": {
        "Share of submissions that fail",
        "Share of jobs that fail",
        "Calls a second",
        "Waiting jobs",
        "Workers",
    },
    "jobs": {
        "Admitted jobs a minute",
        "Ended jobs a minute",
        "Time to the end, 95 %",
        "Wait until the first attempt, 95 %",
    },
    "money": {
        "Quotes and charges an hour",
        "Differences that the audit found",
        "Age of the last audit",
        *(panel["title"] for panel in dashboards.dashboards()["money"]["rows"]["The running day"]),
    },
    "engine": {"Ready backends", "Slots"},
    "tenant": {panel["title"] for panel in dashboards.panels(dashboards.dashboards()["tenant"])},
}
"""Panels that must have data after jobs of a local backend, by dashboard."""
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@needs_prometheus
@pytest.mark.timeout(400)
async def test_the_expected_alerts_fire_and_no_others(store: PostgresStore, database: str, tmp_path: Path) -> None:
    fake_models(tmp_path)
    (tmp_path / "prometheus").mkdir()
    targets = {"i2v-api": free_port(), "i2v-worker": free_port()}
    scraped = {job: [port] for job, port in targets.items()}
    address = f"127.0.0.1:{free_port()}"
    of_api = {"I2V_LISTEN": address, "I2V_METRICS_LISTEN": f"127.0.0.1:{targets['i2v-api']}"}
    of_api |= {"I2V_METRICS_TENANTS": "5"}
    of_api["I2V_PLANS_FILE"] = str(GOLDEN / "plans.toml")
    of_worker = {"I2V_METRICS_LISTEN": f"127.0.0.1:{targets['i2v-worker']}", "I2V_FAKE_PAUSE_S": "0"}
    of_worker |= {"I2V_METRICS_TENANTS": "5", "I2V_ROLLUP_S": "1"}
    async with AsyncExitStack() as stack:
        away = await stack.enter_async_context(postgres_proxy(database))
        stack.enter_context(worker(away.url, tmp_path, "api", role="api", **of_api))
        process = stack.enter_context(worker(database, tmp_path, "worker-0", **of_worker))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        api = Caller(job_pb2_grpc.JobServiceStub(channel))
        watching = await stack.enter_async_context(prometheus(tmp_path / "prometheus", scraped))
        await panels_have_data(api, watching)
        assert await watching.becomes(set()) <= {"ProcessDown", "LedgerNotAudited"}, "while they start"

        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 60) == 0
        assert await watching.becomes({"ProcessDown", "WorkersGone"}) <= {"ProcessDown", "WorkersGone"}
        stack.enter_context(worker(database, tmp_path, "worker-0", **of_worker))
        await watching.becomes(set())

        fired = await while_the_database_is_away(api, away, database, watching)
        assert {"SubmitsFail"} <= fired <= {"SubmitsFail"} | OF_THE_MACHINE
        async with asyncio.TaskGroup() as tasks:
            submitting = tasks.create_task(api.submit_on_and_on())
            assert await watching.becomes(set()) <= {"SubmitsFail"} | OF_THE_MACHINE
            submitting.cancel()
        (audited,) = await watching.query("max(i2v_ledger_imbalance_accounts)")
        assert audited["value"][1] == "0"


@dataclass(frozen=True)
class Caller:
    """Submits jobs, also while the service is away."""

    jobs: Any

    async def submit(self, seed: int = 0) -> job_pb2.Job:
        request = job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=text_spec(seed=seed))
        return await self.jobs.SubmitJob(request, metadata=caller(), wait_for_ready=True)

    async def run(self) -> None:
        """Makes a few videos."""
        for job in [await self.submit(number) for number in range(3)]:
            async for _ in self.jobs.WatchJob(job_pb2.WatchJobRequest(name=job.name), metadata=caller()):
                pass
            ended = await self.jobs.GetJob(job_pb2.GetJobRequest(name=job.name), metadata=caller())
            assert ended.state == job_pb2.Job.SUCCEEDED

    async def submit_on_and_on(self) -> None:
        while True:
            try:
                await self.submit()
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE, error.details()
            await asyncio.sleep(0.05)


async def panels_have_data(api: Caller, watching: Prometheus) -> None:
    """Every query of every dashboard is one that Prometheus takes, and those of what was used find something."""
    boards = dashboards.dashboards()
    panels = {(name, panel["title"]): panel["queries"] for name in boards for panel in dashboards.panels(boards[name])}
    missing = set(panels)
    wanted = {(name, title) for name, titles in SHOWN.items() for title in titles}
    async with asyncio.timeout(60):
        while missing & wanted:
            await api.run()
            for panel in sorted(missing):
                # A second scrape is needed for each rate; the panels' windows are those of a real installation.
                queries = [query.replace("$tenant", "studio") for query in panels[panel].values()]
                if all([await watching.query(query) for query in queries]):
                    missing.discard(panel)
            missing &= wanted  # the others were asked once


async def while_the_database_is_away(api: Caller, away: PostgresProxy, database: str, watching: Prometheus) -> set[str]:
    """Submits until the alert fires; returns the alerts that fired."""
    away.refusal = ("57P03", "the database system is starting up")
    async with await psycopg.AsyncConnection.connect(plain_url(database), autocommit=True) as connection:
        await connection.execute(CUT)
    async with asyncio.TaskGroup() as tasks:
        failing = tasks.create_task(api.submit_on_and_on())
        fired = await watching.becomes({"SubmitsFail"})
        failing.cancel()
    away.refusal = None
    return fired
