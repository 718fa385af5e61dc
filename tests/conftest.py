"""What every test may ask for: a clean environment and a database of its own on one real PostgreSQL."""

import asyncio
import functools
import gc
import inspect
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import certifi
import hypothesis
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck

from services.orchestrator.api.authentication import digest
from services.orchestrator.store.database import driver_url, migrate
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.store.postgres_cluster import ROLE
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.worker.dbos_queue import migrate_queue
from tests.support.builders import FakeClock
from tests.support.durations import is_slow, longest_first, mark_slow, measured

# The collector would go through all modules and tests again and again while they are made, and they stay.
gc.disable()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job is born deaf to Ctrl-C, and so would be every process that a test sends one to.
    signal.signal(signal.SIGINT, signal.default_int_handler)

for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    # gRPC, urllib and curl would use a proxy even for this machine. Tests of proxies use tests/support/dead_proxies.py.
    del os.environ[name]

# A configuration file of the person who runs the tests would change what the `i2v` command does.
os.environ["XDG_CONFIG_HOME"] = "/proc/none"  # not even root can make it

# The time of an example depends on the machine, so it has no deadline.
hypothesis.settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.settings.load_profile("any machine")

pytest_plugins = [
    "tests.support.triton_fixture",
    "tests.support.s3_fixture",
    "tests.support.rgw_fixture",
    "tests.support.command_fixture",
    "tests.support.stack_fixture",
    "tests.support.previous_release",
]

CLOSING_S = 20.0
"""What a test whose time is over has left to close what it opened."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves slow files alone if no slow test is wanted: many import torch, which takes seconds in each process."""
    if config.option.markexpr != "not slow" or not collection_path.is_relative_to(config.rootpath):
        return None
    return is_slow(str(collection_path.relative_to(config.rootpath)), measured()) or None


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the files, marks the slow ones, and gives every asyncio test its time-out."""
    seconds = measured()
    longest_first(items, seconds)
    mark_slow(items, seconds)
    cancel_in_time(items)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Lets the garbage collector work after it, on what the tests make."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def cancel_in_time(items: list[pytest.Item]) -> None:
    """Gives every asyncio test its time by a cancel, so that it closes what it opened.

    The time-out of pytest-timeout leaves the test where it is, on the loop that all tests share: with its servers and
    its threads it would go on during the tests that follow, and make those fail too.
    """
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            marker = item.get_closest_marker("timeout")
            seconds = float(marker.args[0] if marker else item.config.getini("timeout"))
            item.obj = in_time(item.obj, seconds - CLOSING_S)


def in_time(test: Callable[..., Awaitable[None]], seconds: float) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def run(**arguments: Any) -> None:
        async with asyncio.timeout(seconds):
            await test(**arguments)

    return run


@pytest.fixture(scope="session")
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with one certificate: a client for HTTPS reads all that it trusts, and the usual file takes long."""
    first, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    file = tmp_path_factory.mktemp("authorities") / "one.pem"
    file.write_text(first + end)
    return file


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, one_authority: Path) -> None:
    """No I2V_ variable of the person who runs the tests reaches them, but for those that are made for tests."""
    for name in [name for name in os.environ if name.startswith("I2V_") and not name.startswith("I2V_TEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(one_authority))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a server to make databases on: I2V_TEST_DATABASE_URL, or an embedded one."""
    if url := os.environ.get("I2V_TEST_DATABASE_URL"):
        yield url
        return
    # Not among pytest's own folders: their paths are too long for the URL of a socket that other processes use.
    with tempfile.TemporaryDirectory(prefix="i2v-pg-", ignore_cleanup_errors=True) as folder:
        server = EmbeddedPostgres(Path(folder) / "data")
        admin = sa.create_engine(driver_url(server.admin_url), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with admin.connect() as connection:
            # Tests kill processes, not the machine: what the kernel has is safe, and every test makes a database.
            connection.execute(sa.text("ALTER SYSTEM SET fsync = off"))
            connection.execute(sa.text("SELECT pg_reload_conf()"))
            # Some tests end every connection to their database; one may belong to autovacuum.
            connection.execute(sa.text(f"ALTER ROLE {ROLE} CREATEDB CREATEROLE"))
            connection.execute(sa.text(f"GRANT pg_signal_backend, pg_signal_autovacuum_worker TO {ROLE}"))
        yield server.url
        server.close()


def with_database(url: str, name: str) -> str:
    return sa.make_url(driver_url(url)).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    """Name of a database with the schema in it, to be copied."""
    admin = sa.create_engine(driver_url(postgres), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text("DROP DATABASE IF EXISTS i2v_template WITH (FORCE)"))
        connection.execute(sa.text("CREATE DATABASE i2v_template"))
    url = with_database(postgres, "i2v_template")
    migrate(url)
    migrate_queue(url)
    return "i2v_template"


@pytest.fixture
def database(postgres: str, template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of an empty database of the test's own, with the schema."""
    yield from _copy(postgres, template, request)


@pytest.fixture(scope="module")
def shared_database(postgres: str, template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a database for all tests of a file, at first empty, with the schema."""
    yield from _copy(postgres, template, request)


def _copy(postgres: str, template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"i2v_{abs(hash(request.node.nodeid)) % 10**12}"
    admin = sa.create_engine(driver_url(postgres), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"))
    yield with_database(postgres, name)
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(database: str, clock: FakeClock) -> AsyncIterator[PostgresStore]:
    """A store with the tenants `studio` and `story`, whose keys are `studio-key` and `story-key`."""
    store = PostgresStore(database, clock=clock, queue=Queue("make_video", "i2v-test", "1"))
    await store.start()
    for tenant in ("studio", "story"):
        await store.tenants.put(tenant, "test", digest(f"{tenant}-key"))
    yield store
    await store.stop()
