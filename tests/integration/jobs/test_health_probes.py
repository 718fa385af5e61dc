"""What Kubernetes' probes learn from real processes: live, started and ready mean different things."""

import asyncio
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from alembic import command
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.orchestrator.app import NOT_CHECKED
from services.orchestrator.store.database import plain_url
from services.orchestrator.store.schema_version import OLDEST_PROGRAMS, known
from services.rpc.health import SERVING
from tests.support.health_port import answers, ask, last_line
from tests.support.migrations import migrated
from tests.support.postgres_proxy import postgres_proxy
from tests.support.programs import fresh_port
from tests.support.worker_processes import fake_models, worker

RECOVERS = ("57P03", "the database system is not yet accepting connections")


def sql(database: str, *statements: str) -> None:
    with psycopg.connect(plain_url(database), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@contextmanager
def probed(
    database: str, data: Path, role: str = "worker", **settings: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process of the orchestrator, and its health port."""
    fake_models(data)
    port = fresh_port()
    with worker(database, data, name=role, role=role, I2V_HEALTH_LISTEN=f"127.0.0.1:{port}", **settings) as process:
        yield process, port


async def ended(process: subprocess.Popen[bytes]) -> int:
    return await asyncio.to_thread(process.wait, 120)


@pytest.mark.parametrize("role", ["api", "worker"])
async def test_a_process_that_waits_for_the_database_is_live_and_started_and_not_ready(
    database: str, tmp_path: Path, role: str
) -> None:
    async with postgres_proxy(database) as proxy:
        proxy.refusal = RECOVERS
        with probed(proxy.url, tmp_path, role, I2V_DATABASE_PATIENCE_S="600") as (process, port):
            await answers(process, port, "/readyz", 503, "database: it is starting, stopping or recovering")
            assert (await asyncio.to_thread(ask, port, "/startupz"))[0] == 200
            assert (await asyncio.to_thread(ask, port, "/livez"))[0] == 200
            proxy.refusal = None
            await answers(process, port, "/readyz", 200)
            assert process.poll() is None


async def test_a_process_that_loses_its_database_stays_live_and_becomes_ready_again(
    database: str, tmp_path: Path
) -> None:
    async with postgres_proxy(database) as proxy:
        with probed(proxy.url, tmp_path, "api") as (process, port):
            await answers(process, port, "/readyz", 200)
            proxy.refusal = RECOVERS
            sql(
                database,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            await answers(process, port, "/readyz", 503, "service: The database cannot be reached.")
            assert await asyncio.to_thread(ask, port, "/livez") == (200, "the event loop turns")
            proxy.refusal = None
            await answers(process, port, "/readyz", 200)


async def test_readiness_goes_first_and_calls_are_answered_during_the_pause(database: str, tmp_path: Path) -> None:
    address = f"127.0.0.1:{fresh_port()}"
    with probed(database, tmp_path, "api", I2V_DRAIN_DELAY_S="120", I2V_LISTEN=address) as (process, port):
        await answers(process, port, "/readyz", 200)
        async with grpc.aio.insecure_channel(address) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=60)).status == SERVING
            process.send_signal(signal.SIGTERM)
            assert await answers(process, port, "/readyz", 503) == "it is stopping"
            watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=60)
            while (await watch.read()).status == SERVING:  # until the app has begun to drain
                pass
            await health.Check(health_pb2.HealthCheckRequest(), timeout=60)  # a new call is answered
        assert (await asyncio.to_thread(ask, port, "/livez"))[0] == 200
        assert process.poll() is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"I2V_DISK_FREE_BYTES": str(10**18), "I2V_DISK_FREE_SHARE": "1"}, "service: "),
        (
            {
                "I2V_BLOBS": "s3",
                "I2V_S3_ENDPOINT": "127.0.0.1:9",
                "I2V_S3_ACCESS_KEY": "access",
                "I2V_S3_SECRET_KEY": "secret",
            },
            "service: ",
        ),
    ],
    ids=["a full volume", "a store that cannot be reached"],
)
async def test_what_a_process_lacks_makes_it_not_ready_and_says_so(
    database: str, tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    with probed(database, tmp_path, "api", **settings) as (process, port):
        why = await answers(process, port, "/readyz", 503, words)
        while NOT_CHECKED in why:
            why = await answers(process, port, "/readyz", 503, words)
        assert len(why.splitlines()) == 1 and ("disk" in why or "store" in why), why
        assert (await asyncio.to_thread(ask, port, "/startupz"))[0] == 200
        assert (await asyncio.to_thread(ask, port, "/livez"))[0] == 200


async def test_a_worker_without_a_backend_that_takes_work_is_live_and_not_ready(database: str, tmp_path: Path) -> None:
    settings = {"I2V_TRITON": f"127.0.0.1:{fresh_port()}", "I2V_FAKE_SLOTS": "0"}
    with probed(database, tmp_path, **settings) as (process, port):
        await answers(process, port, "/readyz", 503, "backends: triton: ")
        assert (await asyncio.to_thread(ask, port, "/startupz"))[0] == 200
        assert (await asyncio.to_thread(ask, port, "/livez"))[0] == 200


async def test_a_process_of_a_cluster_waits_for_the_program_that_migrates(database: str, tmp_path: Path) -> None:
    sql(database, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public", "DROP SCHEMA IF EXISTS dbos CASCADE")
    with probed(database, tmp_path, I2V_MIGRATE="false", I2V_DATABASE_PATIENCE_S="600") as (process, port):
        why = await answers(process, port, "/readyz", 503, "database: it has no schema yet")
        assert "run `python -m services.orchestrator migrate`" in why
        with worker(database, tmp_path, name="migrate", role="migrate") as migrating:
            assert await ended(migrating) == 0
        await answers(process, port, "/readyz", 200)


async def test_a_process_waits_for_the_schema_of_its_queue_too(database: str, tmp_path: Path) -> None:
    sql(database, "DROP SCHEMA IF EXISTS dbos CASCADE")
    with probed(database, tmp_path, I2V_MIGRATE="false", I2V_DATABASE_PATIENCE_S="600") as (process, port):
        await answers(
            process, port, "/readyz", 503, "database: the schema of its queue is at 0, and this program needs"
        )
        with worker(database, tmp_path, name="migrate", role="migrate") as migrating:
            assert await ended(migrating) == 0
        await answers(process, port, "/readyz", 200)


async def test_a_schema_behind_is_one_line_and_the_process_ends_after_its_patience(
    database: str, tmp_path: Path
) -> None:
    migrated(database, command.downgrade, "-1")
    with probed(database, tmp_path, I2V_MIGRATE="false", I2V_DATABASE_PATIENCE_S="1") as (process, _):
        assert await ended(process) == 1
    line = last_line(tmp_path / "worker.log")
    assert f"its schema is at {known()[1]}, and this program needs {known()[0]}" in line
    with worker(database, tmp_path, name="migrate", role="migrate") as migrating:
        assert await ended(migrating) == 0
    with probed(database, tmp_path, I2V_MIGRATE="false") as (process, port):
        await answers(process, port, "/readyz", 200)


@pytest.mark.parametrize("migrate", ["true", "false"])
async def test_a_schema_ahead_that_still_serves_this_release_is_used(
    database: str, tmp_path: Path, migrate: str
) -> None:
    sql(database, "UPDATE alembic_version SET version_num = '9001'")
    with probed(database, tmp_path, I2V_MIGRATE=migrate) as (process, port):
        await answers(process, port, "/readyz", 200)


@pytest.mark.parametrize("migrate", ["true", "false"])
async def test_a_schema_ahead_that_serves_only_newer_releases_is_one_line(
    database: str, tmp_path: Path, migrate: str
) -> None:
    serves = "COMMENT ON TABLE alembic_version IS 'serves programs since 9000'"
    sql(database, "UPDATE alembic_version SET version_num = '9001'", serves)
    with probed(database, tmp_path, I2V_MIGRATE=migrate, I2V_DATABASE_PATIENCE_S="1") as (process, _):
        assert await ended(process) == 1
    line = last_line(tmp_path / "worker.log")
    assert "its schema is at 9001 and serves programs since 9000" in line and "take a newer release" in line


def test_the_oldest_release_that_the_schema_serves_is_one_of_ours() -> None:
    assert OLDEST_PROGRAMS in known()


async def test_a_health_port_in_use_ends_the_start_with_one_line(database: str, tmp_path: Path) -> None:
    fake_models(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with worker(database, tmp_path, I2V_HEALTH_LISTEN=address) as process:
            assert await ended(process) == 1
    assert last_line(tmp_path / "worker-0.log").startswith(f"i2v: cannot listen on {address}: ")
