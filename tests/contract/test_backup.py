"""A backup and its restore: PostgreSQL's own programs, the audit, and the list of what the store lacks."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.orchestrator.domain.asset import Asset, blob_key
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.store.database import driver_url
from services.orchestrator.store.postgres_store import PostgresStore
from tests.conftest import with_database
from tests.support.builders import NOON, a_caller, admit, numbered

PNG = b"not quite a picture"


@pytest.fixture
async def filled(store: PostgresStore, tmp_path: Path) -> PostgresStore:
    """Two jobs, and three assets whose bytes are stored."""
    for number in (1, 2):
        await admit(store, numbered(number))
    for number in range(3):
        asset = Asset("studio", "ann", f"{number:064x}", len(PNG), PictureInfo("image/png", 64, 64), NOON)
        await store.assets.put(asset, a_caller())
        file = tmp_path / "data/blobs" / blob_key("studio", asset.sha256)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(PNG)
    return store


@pytest.fixture
def empty(postgres: str, request: pytest.FixtureRequest) -> str:
    """URL of a database without a table."""
    name = f"i2v_empty_{abs(hash(request.node.nodeid)) % 10**12}"
    admin = sa.create_engine(driver_url(postgres), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))

    def drop() -> None:
        with admin.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))

    request.addfinalizer(drop)
    return with_database(postgres, name)


def backup(url: str, data: Path, *arguments: str) -> tuple[int, str]:
    """Runs the command; returns its exit code and what it says."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'gen'}",
        "I2V_DATABASE_URL": url,
        "I2V_DATA": str(data),
    }
    command = [sys.executable, "-W", "ignore", "-m", "services.orchestrator.backup", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    return done.returncode, done.stdout + done.stderr


def rows(url: str) -> dict[str, int]:
    engine = sa.create_engine(driver_url(url), poolclass=sa.NullPool)
    with engine.connect() as connection:
        tables = sa.inspect(connection).get_table_names()
        return {name: connection.execute(sa.text(f'SELECT count(*) FROM "{name}"')).scalar_one() for name in tables}


async def test_a_restored_database_has_all_rows_and_passes_the_audit(
    filled: PostgresStore, database: str, empty: str, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    code, said = backup(database, tmp_path / "data", "create", str(folder))
    assert (code, "a list of 3 stored files" in said) == (0, True), said
    assert stat.S_IMODE((folder / "database.dump").stat().st_mode) == 0o600
    code, said = backup(empty, tmp_path / "data", "restore", str(folder))
    assert (code, "nothing is missing" in said) == (0, True), said
    assert rows(empty) == rows(database)
    assert rows(empty)["jobs"] == 2


async def test_bytes_that_are_missing_after_a_restore_are_named(
    filled: PostgresStore, database: str, empty: str, tmp_path: Path
) -> None:
    folder, data = tmp_path / "backup", tmp_path / "data"
    assert backup(database, data, "create", str(folder))[0] == 0
    keys = [blob_key("studio", f"{number:064x}") for number in range(3)]
    (data / "blobs" / keys[0]).unlink()
    (data / "blobs" / keys[2]).write_bytes(PNG + b"!")
    code, said = backup(database, data, "check", str(folder))
    assert code == 1
    assert said.splitlines()[:2] == [f"missing: {keys[0]}", f"of another size: {keys[2]}"]
    code, said = backup(empty, data, "restore", str(folder))
    assert (code, f"missing: {keys[0]}" in said) == (1, True), said


async def test_a_wrong_counter_is_named_after_a_restore(
    filled: PostgresStore, database: str, empty: str, tmp_path: Path
) -> None:
    async with filled.database.writing() as connection:
        await connection.execute(sa.text("UPDATE counters SET held = held + 1 WHERE measure = 'spend'"))
    assert backup(database, tmp_path / "data", "create", str(tmp_path / "backup"))[0] == 0
    code, said = backup(empty, tmp_path / "data", "restore", str(tmp_path / "backup"))
    assert (code, said.startswith("wrong: holds of studio")) == (1, True), said


async def test_a_database_with_tables_an_altered_backup_and_a_used_folder_are_refused(
    filled: PostgresStore, database: str, empty: str, tmp_path: Path
) -> None:
    folder, data = tmp_path / "backup", tmp_path / "data"
    assert backup(database, data, "create", str(folder))[0] == 0
    assert backup(database, data, "create", str(folder)) == (
        1,
        f"backup: {folder} is not empty: name a new folder\n",
    )
    code, said = backup(database, data, "restore", str(folder))
    assert (code, "the database has tables already" in said) == (1, True), said
    with (folder / "blobs.jsonl").open("a") as inventory:
        inventory.write("nonsense\n")
    code, said = backup(empty, data, "restore", str(folder))
    assert (code, "its SHA-256 is another" in said) == (1, True), said
    (folder / "backup.json").unlink()
    code, said = backup(empty, data, "restore", str(folder))
    assert (code, "is no complete backup" in said) == (1, True), said
    assert rows(empty) == {}


def test_a_database_that_is_away_is_one_line_without_the_password(tmp_path: Path) -> None:
    url = "postgresql://ann:s3cret@127.0.0.1:1/none"
    code, said = backup(url, tmp_path / "data", "create", str(tmp_path / "backup"))
    assert code == 1
    assert said.startswith("backup: pg_dump failed: ")
    assert "s3cret" not in said
