"""The binary and the backends of the wheel nvidia-pytriton, laid out as tritonserver needs them."""

import filecmp
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from uuid import uuid4

from tools.triton_server_error import TritonServerError

BACKENDS = Path(__file__).resolve().parent / "backends"
"""Python-based backends of ours, one folder each."""


def find_wheel() -> Path:
    """Returns the wheel's folder `pytriton/tritonserver`.

    Raises:
        TritonServerError: the wheel is not installed.
    """
    found = importlib.util.find_spec("pytriton")
    if found is None or found.origin is None:
        raise TritonServerError("the package nvidia-pytriton is not installed: run `make setup`")
    return Path(found.origin).parent / "tritonserver"


def assemble_backends(wheel: Path, folder: Path) -> Path:
    """Fills a backend directory: the wheel's Python backend with the stub of this Python, and our own backends.

    Copies, not links: Triton refuses a backend whose real path is outside the directory.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = wheel / "python_backend_stubs" / python / "triton_python_backend_stub"
    if not stub.is_file():
        raise TritonServerError(f"nvidia-pytriton has no stub for Python {python}")
    install(stub, folder / "python" / stub.name, mode=0o700)
    for file in (wheel / "backends" / "python").iterdir():
        if file.is_file():
            install(file, folder / "python" / file.name)
    for file in BACKENDS.glob("*/*.py"):
        install(file, folder / file.parent.name / file.name)
    return folder


def install(source: Path, target: Path, mode: int = 0o600) -> None:
    """Copies a file unless it is there; atomically, because another server may be starting from the same folder."""
    if (
        target.is_file()
        and os.access(target, os.X_OK) == bool(mode & 0o100)
        and filecmp.cmp(source, target, shallow=False)
    ):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{uuid4().hex}")
    shutil.copyfile(source, part)
    part.chmod(mode)
    part.replace(target)
