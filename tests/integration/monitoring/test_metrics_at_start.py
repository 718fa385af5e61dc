"""A start with a taken port for metrics, and one that waits for a migration, as Prometheus sees them."""

import asyncio
import socket
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psycopg

from services.orchestrator.store import schema_version
from services.orchestrator.store.database import plain_url
from tests.support.worker_processes import fake_models, said, worker
from tools.stack_process import free_port


async def shows(port: int, line: str) -> None:
    """Waits until a scrape has a line."""

    def scrape() -> str:
        try:
            return str(urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30).read().decode())
        except (URLError, OSError):
            return ""

    async with asyncio.timeout(120):
        while line not in await asyncio.to_thread(scrape):  # noqa: ASYNC110  Prometheus sends no event.
            await asyncio.sleep(0.05)


async def test_an_api_serves_without_metrics_while_their_port_is_taken(database: str, tmp_path: Path) -> None:
    fake_models(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with worker(database, tmp_path, "api", "api", I2V_METRICS_LISTEN=address) as process:
            log = await said(process, tmp_path / "api.log", '"message":"serving"')
            assert "metrics cannot be served; the service goes on without, and tries again" in log
            assert '"metrics_port":0' in log


async def test_a_process_that_waits_for_a_migration_shows_it(database: str, tmp_path: Path) -> None:
    fake_models(tmp_path)
    newest, before = schema_version.known()[:2]

    def set_version(version: str) -> None:
        with psycopg.connect(plain_url(database), autocommit=True) as connection:
            connection.execute("UPDATE alembic_version SET version_num = %s", [version])

    await asyncio.to_thread(set_version, before)
    port = free_port()
    settings = {"I2V_MIGRATE": "false", "I2V_METRICS_LISTEN": f"127.0.0.1:{port}"}
    with worker(database, tmp_path, "api", "api", **settings) as process:
        await shows(port, 'i2v_schema_state{state="behind"} 1.0')
        await asyncio.to_thread(set_version, newest)
        await said(process, tmp_path / "api.log", '"message":"serving"')
        await shows(port, 'i2v_schema_state{state="behind"} 0.0')
