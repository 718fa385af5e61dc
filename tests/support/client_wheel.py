"""The wheels of this repository, and an environment of its own with that of the Python client."""

import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "clients/python"


def built(project: Path, folder: Path) -> Path:
    """Returns the wheel of a project."""
    folder.mkdir()
    _run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, project)
    [wheel] = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True, slots=True)
class Installed:
    """A virtual environment with the client's wheel. The packages that it needs are those of this one."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    @property
    def packages(self) -> Path:
        return next(self.folder.glob("lib/python3.*/site-packages"))


def installed(wheel: Path, folder: Path) -> Installed:
    """Makes an environment, and installs a wheel there."""
    _run(sys.executable, "-m", "venv", "--without-pip", folder)
    made = Installed(folder)
    _run(sys.executable, "-m", "pip", "--python", made.python, "install", "-q", "--no-deps", "--no-index", wheel)
    # Of a folder named so, no further .pth is read: the checkout, which is installed there, cannot be imported.
    (made.packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made


def _run(*command: str | Path) -> None:
    subprocess.run([str(each) for each in command], check=True, timeout=120, cwd="/")
