"""podman and buildah with a storage of their own in one folder, so that two checkouts do not disturb each other."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
"""
TIMEOUT_S = 1200.0


class ContainerError(RuntimeError):
    """A program for containers failed; the message has its command and its last lines."""


class ContainerEngine:
    """Runs podman and buildah. Everything that they keep is in `folder`."""

    def __init__(self, folder: Path) -> None:
        """Nothing runs yet."""
        self.folder = folder.resolve()
        self._storage = [f"--root={self.folder / 'storage'}", f"--runroot={self.folder / 'run'}"]
        self._podman = [*self._storage, f"--network-config-dir={self.folder / 'networks'}"]
        self._podman += [f"--tmpdir={self.folder / 'tmp'}", f"--volumepath={self.folder / 'volumes'}"]

    def podman(self, *arguments: str, given: str | None = None, timeout_s: float = TIMEOUT_S) -> str:
        """Runs podman and returns what it printed. Raises ContainerError."""
        return self._run(["podman", *self._podman, *arguments], given, timeout_s)

    def podman_command(self, *arguments: str) -> list[str]:
        """Returns the command line of a podman that the caller runs, with the environment of `environment`."""
        return ["podman", *self._podman, *arguments]

    def buildah(self, *arguments: str, timeout_s: float = TIMEOUT_S) -> str:
        """Runs buildah and returns what it printed. Raises ContainerError."""
        return self._run(["buildah", *self._storage, *arguments], None, timeout_s)

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of both programs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "containers.conf"
        if not configuration.exists():
            configuration.write_text(CONFIGURATION)
        path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
        return os.environ | {"CONTAINERS_CONF": str(configuration), "BUILDAH_ISOLATION": "chroot", "PATH": path}

    def clear(self) -> None:
        """Ends every container and removes what they had: volumes, secrets, networks. The images stay."""
        self._quietly("podman", *self._podman, "pod", "rm", "--all", "--force", "--time=0")
        self._quietly("podman", *self._podman, "rm", "--all", "--force", "--time=0")
        self._quietly("podman", *self._podman, "volume", "prune", "--force")
        self._quietly("podman", *self._podman, "secret", "rm", "--all")
        self._quietly("podman", *self._podman, "network", "prune", "--force")

    def remove(self) -> None:
        """Ends every container and removes the folder, also after a run that was killed."""
        if not self.folder.exists():
            return
        self.clear()
        self._quietly("buildah", *self._storage, "rm", "--all")
        self._unmount()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _unmount(self) -> None:
        """Unmounts what a killed run has left in the folder, the newest first."""
        points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for point in reversed([each for each in points if each.startswith(f"{self.folder}/")]):
            self._quietly("umount", "--lazy", point)

    def _quietly(self, *command: str) -> None:
        subprocess.run(command, env=self.environment, capture_output=True, timeout=TIMEOUT_S, check=False)

    def _run(self, command: Sequence[str], given: str | None, timeout_s: float) -> str:
        try:
            done = subprocess.run(
                command,
                env=self.environment,
                input=given,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ContainerError(f"{' '.join(command)} took longer than {timeout_s:.0f} s") from error
        if done.returncode:
            last = "\n".join(f"  {line}" for line in (done.stdout + done.stderr).splitlines()[-40:])
            raise ContainerError(f"{' '.join(command)} exited with {done.returncode}\n{last}")
        return done.stdout
