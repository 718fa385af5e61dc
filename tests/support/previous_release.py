"""The checkout of the release before this one, with its generated stubs: its processes run with this environment."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy/previous-release"
CACHE = ROOT / "var/releases"
PARTS = ("services", "proto", "deploy/config", "tests/golden/models.toml", "tools/__init__.py")
"""What its processes need."""


def commit() -> str:
    """Returns the hash of the release before this one."""
    return next(line for line in FILE.read_text().splitlines() if not line.startswith("#"))


@pytest.fixture(scope="session")
def previous_release() -> Path:
    """The checkout; made once for each release, in `var/releases`. Skips where git does not have its commit."""
    release = commit()
    if not (CACHE / release).is_dir():
        if not is_known(release, ROOT):
            pytest.skip(f"git has no commit {release[:8]} here: `git fetch --unshallow`, or `git clone`, brings it")
        make(release, CACHE / release)
    return CACHE / release


def is_known(release: str, checkout: Path) -> bool:
    """Returns whether the history of a checkout has a commit; a shallow clone or an archive may not."""
    asked = ["git", "cat-file", "-e", f"{release}^{{commit}}"]
    return shutil.which("git") is not None and not subprocess.run(asked, cwd=checkout, capture_output=True).returncode


def make(release: str, folder: Path) -> None:
    """Makes the folder of a release. Several test processes may do so at once: the first that is done names its own."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    _fill(release, made)
    try:
        made.rename(folder)
    except OSError:
        shutil.rmtree(made)


def _fill(release: str, folder: Path) -> None:
    archive = subprocess.run(
        ["git", "archive", release, *PARTS], cwd=ROOT, capture_output=True, check=True, timeout=60
    ).stdout
    subprocess.run(["tar", "-x"], input=archive, cwd=folder, check=True, timeout=60)
    (folder / "gen").mkdir()
    protos = [str(file.relative_to(folder)) for file in (folder / "proto").rglob("*.proto")]
    generate = ["-m", "grpc_tools.protoc", "-Iproto", "--python_out=gen", "--grpc_python_out=gen", *protos]
    subprocess.run([sys.executable, *generate], cwd=folder, check=True, timeout=60)
