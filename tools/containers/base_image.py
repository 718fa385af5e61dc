"""The base image, made from the Debian packages that this machine's apt finds: a stand-in for the one of a registry."""

import shutil
import subprocess
from pathlib import Path

from tools.containers.container_engine import ContainerEngine, ContainerError

SUITE = "bookworm"
NAME = "localhost/i2v-base:1"
PATH = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
UNNEEDED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
)
"""What a slim image of Debian leaves out too."""
TIMEOUT_S = 900


def mirror() -> str:
    """Returns the address of Debian's packages that apt uses here. Raises ContainerError."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = [line.split()[1] for line in listed.splitlines() if line.startswith(f"{SUITE} ")]
    if not found:
        raise ContainerError(f"apt knows no packages of Debian {SUITE} here: run `apt-get update` on such a machine")
    return found[0]


def make(engine: ContainerEngine) -> str:
    """Makes the image if it does not exist, in a minute or two. Returns its name. Raises ContainerError."""
    if NAME in engine.podman("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        return NAME
    root = engine.folder / "debian"
    shutil.rmtree(root, ignore_errors=True)
    try:
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", SUITE, str(root), mirror()],
            env=engine.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            last = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-10:])
            raise ContainerError(f"debootstrap exited with {done.returncode}\n{last}")
        for folder in UNNEEDED:
            _empty(root / folder)
        tar = engine.folder / "debian.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(tar), "."], check=True)
        engine.podman("import", "--change", PATH, str(tar), NAME)
        tar.unlink()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return NAME


def _empty(folder: Path) -> None:
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
