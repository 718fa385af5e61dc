"""A model repository is brought to a Triton from a folder or an S3 store, and every byte of it is checked."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from minio import Minio
from minio.error import MinioException

from services.orchestrator.models import digest_of, files_of
from tests.support.s3_fixture import S3Server

WRONG = "0" * 64


def models(*arguments: str, **settings: str) -> tuple[int, str, str]:
    """Runs the program and returns its exit code and what it wrote to stdout and to stderr."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'gen'}",
        "I2V_LISTEN": "a setting of another program",
    } | settings
    command = [sys.executable, "-m", "services.orchestrator.models", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    for name, text in {
        "vae/config.pbtxt": "name: 'vae'",
        "vae/1/model.py": "pass",
        "vae/1/model.onnx": "graph",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "vae/1/__pycache__").mkdir()
    (folder / "vae/1/__pycache__/model.pyc").write_text("not part of it")
    return folder


@pytest.fixture
def store(s3_server: S3Server, tmp_path: Path) -> dict[str, str]:
    """The settings of an S3 store that has the bucket `models`, with its keys in files."""
    client = Minio(s3_server.endpoint, s3_server.access_key, s3_server.secret_key, secure=False, region="us-east-1")
    with suppress(MinioException):  # another test has made it
        client.make_bucket("models")
    (tmp_path / "access").write_text(f"{s3_server.access_key}\n")
    (tmp_path / "secret").write_text(f"{s3_server.secret_key}\n")
    return {
        "I2V_S3_ENDPOINT": s3_server.endpoint,
        "I2V_S3_SECURE": "false",
        "I2V_S3_ACCESS_KEY_FILE": str(tmp_path / "access"),
        "I2V_S3_SECRET_KEY_FILE": str(tmp_path / "secret"),
    }


def test_the_digest_changes_with_every_byte_and_name(repository: Path) -> None:
    first = digest_of(repository)
    (repository / "vae/1/model.py").write_text("pass\n")
    second = digest_of(repository)
    (repository / "vae/1/model.py").rename(repository / "vae/1/other.py")
    assert len({first, second, digest_of(repository)}) == 3
    assert files_of(repository) == ["vae/1/model.onnx", "vae/1/other.py", "vae/config.pbtxt"]


def test_a_repository_is_brought_from_a_folder_and_a_second_start_leaves_it(repository: Path, tmp_path: Path) -> None:
    target, digest = tmp_path / "models", digest_of(repository)
    assert models("fetch", str(repository), str(target), "--digest", digest) == (0, digest, "")
    assert files_of(target) == files_of(repository)
    brought = (target / "vae/1/model.onnx").stat().st_ino
    assert models("fetch", str(repository), str(target), "--digest", digest)[0] == 0
    assert (target / "vae/1/model.onnx").stat().st_ino == brought


def test_a_damaged_volume_is_filled_again(repository: Path, tmp_path: Path) -> None:
    target, digest = tmp_path / "models", digest_of(repository)
    models("fetch", str(repository), str(target), "--digest", digest)
    (target / "vae/1/model.onnx").write_text("damaged")
    (target / "vae/left-over").write_text("of an older profile")
    assert models("fetch", str(repository), str(target), "--digest", digest)[0] == 0
    assert digest_of(target) == digest and not (target / "vae/left-over").exists()


def test_another_digest_is_one_line_and_leaves_nothing_that_triton_could_load(repository: Path, tmp_path: Path) -> None:
    target = tmp_path / "models"
    code, _, line = models("fetch", str(repository), str(target), "--digest", WRONG)
    assert code == 1 and list(target.iterdir()) == []
    assert line == f"models: {repository} has the digest {digest_of(repository)}, and {WRONG} was asked for"


def test_a_repository_is_published_to_a_store_and_brought_from_there(
    repository: Path, tmp_path: Path, store: dict[str, str]
) -> None:
    target, digest = tmp_path / "models", digest_of(repository)
    assert models("publish", str(repository), "s3://models/nano/1", **store) == (0, digest, "")
    assert models("fetch", "s3://models/nano/1", str(target), "--digest", digest, **store) == (0, digest, "")
    assert (target / "vae/1/model.onnx").read_text() == "graph"
    (repository / "vae/1/model.onnx").write_text("another graph")
    models("publish", str(repository), "s3://models/nano/1", **store)
    (target / "vae/1/model.onnx").write_text("damaged")
    code, _, line = models("fetch", "s3://models/nano/1", str(target), "--digest", digest, **store)
    assert code == 1 and "was asked for" in line and list(target.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "changes", "words"),
    [
        ("s3://models/nothing", {}, "has no files"),
        ("s3://no-such-bucket/nano", {}, "s3://no-such-bucket/nano cannot be used"),
        ("s3://models/nano", {"I2V_S3_ENDPOINT": "127.0.0.1:9"}, "s3://models/nano cannot be used"),
        ("s3://models/nano", {"I2V_S3_ENDPOINT": ""}, "needs I2V_S3_ENDPOINT"),
        ("s3://models/nano", {"I2V_S3_SECRET_KEY_FILE": "/no/such/file"}, "I2V_S3_SECRET_KEY_FILE names /no/such/file"),
        ("/no/such/folder", {}, "has no files"),
    ],
)
def test_a_source_that_cannot_be_used_is_one_line(
    tmp_path: Path, store: dict[str, str], source: str, changes: dict[str, str], words: str
) -> None:
    code, _, line = models("fetch", source, str(tmp_path / "models"), "--digest", WRONG, **(store | changes))
    assert code == 1 and words in line and line.startswith("models: ") and len(line.splitlines()) == 1
