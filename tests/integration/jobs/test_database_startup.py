"""A start waits a limited time for a PostgreSQL that is not ready, but not after permanent errors."""

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest

from services.orchestrator.store.database import plain_url
from tests.support.postgres_proxy import postgres_proxy
from tests.support.worker_processes import fake_models, said, worker

RECOVERS = ("57P03", "the database system is not yet accepting connections")
PASSWORD = ("28P01", 'password authentication failed for user "postgres"')


async def ended(process: subprocess.Popen[bytes]) -> int:
    return await asyncio.to_thread(process.wait, 60)


@pytest.mark.parametrize("role", ["api", "worker", "all"])
async def test_an_orchestrator_that_starts_while_postgresql_recovers_waits_and_serves(
    database: str, tmp_path: Path, role: str
) -> None:
    fake_models(tmp_path)
    log = tmp_path / "worker-0.log"
    async with postgres_proxy(database) as proxy:
        proxy.refusal = RECOVERS
        with worker(proxy.url, tmp_path, role=role) as process:
            waiting = await said(process, log, "waiting for the database")
            assert "it is starting, stopping or recovering" in waiting
            proxy.refusal = None
            await said(process, log, '"message":"serving"')
            process.send_signal(signal.SIGTERM)
            assert await ended(process) == 0


async def test_a_worker_that_starts_while_postgresql_takes_no_writes_waits_and_serves(
    database: str, tmp_path: Path
) -> None:
    def read_only(value: str) -> None:
        """As after a failover: writes are refused, and old connections are closed."""
        with psycopg.connect(plain_url(database), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            name = connection.info.dbname
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}".encode())
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    fake_models(tmp_path)
    log = tmp_path / "worker-0.log"
    await asyncio.to_thread(read_only, "on")
    with worker(database, tmp_path) as process:
        assert "it refuses for now" in await said(process, log, "waiting for the database")
        await asyncio.to_thread(read_only, "off")
        await said(process, log, '"message":"serving"')
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0


async def test_log_lines_during_an_outage_of_the_database_are_short_json(database: str, tmp_path: Path) -> None:
    fake_models(tmp_path)
    log = tmp_path / "worker-0.log"
    async with postgres_proxy(database) as proxy:
        with worker(proxy.url, tmp_path) as process:
            await said(process, log, '"message":"serving"')
            proxy.refusal = RECOVERS
            with psycopg.connect(plain_url(database), autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await said(process, log, "dbos")
            await said(process, log, "the database is away")
            proxy.refusal = None
            process.send_signal(signal.SIGTERM)
            assert await ended(process) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert not [line for line in lines if "the database is away" in line["message"] and "exception" in line]


async def test_an_orchestrator_that_starts_before_postgresql_waits_for_a_limited_time(tmp_path: Path) -> None:
    fake_models(tmp_path)
    with worker("postgresql://127.0.0.1:9/i2v", tmp_path, I2V_DATABASE_PATIENCE_S="1.5") as process:
        assert await ended(process) == 1
    log = (tmp_path / "worker-0.log").read_text()
    assert "waiting for the database" in log and "nothing answers at its address" in log
    assert log.splitlines()[-1].startswith("i2v: The database was not ready within 1.5 s (I2V_DATABASE_PATIENCE_S)")


@pytest.mark.parametrize("wrong", ["password", "database"])
async def test_a_permanent_error_ends_the_wait(database: str, tmp_path: Path, wrong: str) -> None:
    fake_models(tmp_path)
    async with postgres_proxy(database) as proxy:
        url = proxy.url
        if wrong == "password":
            proxy.refusal = PASSWORD
        else:
            url += "_of_another"
        with worker(url, tmp_path, I2V_DATABASE_PATIENCE_S="600") as process:
            assert await ended(process) == 1
    log = (tmp_path / "worker-0.log").read_text()
    assert ("password authentication failed" if wrong == "password" else "does not exist") in log.splitlines()[-1]
    assert "waiting" not in log


async def test_a_process_that_waits_for_postgresql_can_be_stopped(database: str, tmp_path: Path) -> None:
    fake_models(tmp_path)
    async with postgres_proxy(database) as proxy:
        proxy.refusal = RECOVERS
        with worker(proxy.url, tmp_path, I2V_DATABASE_PATIENCE_S="600") as process:
            await said(process, tmp_path / "worker-0.log", "waiting for the database")
            process.send_signal(signal.SIGTERM)
            assert await ended(process) == 0


async def test_a_process_that_is_stopped_while_its_postgresql_starts_leaves_none_running(tmp_path: Path) -> None:
    fake_models(tmp_path)
    data = tmp_path / "postgres"
    with worker("", tmp_path, role="all") as process:
        while not (tmp_path / ".postgres.new").exists():
            assert process.poll() is None and not data.exists()
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
    assert data.exists() and not (data / "postmaster.pid").exists()
