"""Permissions that an older version left open are restricted, and files that are not ours do not change."""

import stat
from pathlib import Path

import pytest

from services.file_permissions import restrict_permissions


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """A data folder as a version without a umask made it."""
    data = tmp_path / "var"
    (data / "blobs" / "tenants").mkdir(parents=True, mode=0o755)
    (data / "mine").mkdir()
    for file, bits in (
        ("blobs/tenants/picture", 0o644),
        ("blobs/program", 0o755),
        ("run.log", 0o644),
        ("mine/note", 0o644),
    ):
        (data / file).write_bytes(b"bytes")
        (data / file).chmod(bits)
    (data / "blobs" / "link").symlink_to(data / "mine" / "note")
    for folder in (data, data / "blobs", data / "blobs" / "tenants", data / "mine"):
        folder.chmod(0o755)
    return data


def test_our_files_are_closed_with_everything_below_them(installation: Path) -> None:
    restrict_permissions(installation, "blobs", "*.log", "gone")
    assert {name: oct(mode(installation / name)) for name in (".", "blobs", "blobs/tenants")} == dict.fromkeys(
        (".", "blobs", "blobs/tenants"), "0o700"
    )
    assert mode(installation / "blobs" / "tenants" / "picture") == mode(installation / "run.log") == 0o600
    assert mode(installation / "blobs" / "program") == 0o700
    assert (mode(installation / "mine"), mode(installation / "mine" / "note")) == (0o755, 0o644)


def test_files_that_became_open_in_a_closed_folder_are_closed(installation: Path) -> None:
    restrict_permissions(installation, "blobs")
    (installation / "blobs").chmod(0o750)
    (installation / "blobs" / "tenants" / "picture").chmod(0o640)
    restrict_permissions(installation, "blobs")
    assert mode(installation / "blobs") == 0o700
    assert mode(installation / "blobs" / "tenants" / "picture") == 0o600


def test_a_shared_folder_is_not_changed(installation: Path, caplog: pytest.LogCaptureFixture) -> None:
    installation.chmod(0o1777)
    restrict_permissions(installation, "blobs")
    assert (mode(installation), mode(installation / "blobs")) == (0o1777, 0o755)
    assert "everyone can write to the folder" in caplog.text


def test_a_missing_folder_is_ignored(tmp_path: Path) -> None:
    restrict_permissions(tmp_path / "none", "blobs")
    assert not (tmp_path / "none").exists()
