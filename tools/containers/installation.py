"""An installation of pods on one machine, from rendered manifests: each pod has an address of its own."""

import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.containers import pod_manifests
from tools.containers.container_engine import ContainerEngine, ContainerError
from tools.containers.pod_manifests import Document, PodManifest

NETWORK = "i2v"
SUBNETS = [f"10.{89 + number}.77" for number in range(60)]
"""Beginnings of networks; the first one that is free is taken."""
FIRST = 10
READY_S, LOOK_S = 180.0, 0.2
LOG_LINES = 30


class Installation:
    """The pods of some manifests. `engine` has the images."""

    def __init__(self, engine: ContainerEngine, documents: Iterable[Document], images: Mapping[str, str]) -> None:
        """Nothing starts yet. `images` has the image on this machine for each name in the manifests."""
        self._engine = engine
        self._documents = list(documents)
        self._images = images
        self._pods = {pod.name: pod for pod in pod_manifests.pods(self._documents)}
        self._subnet = ""

    def open(self) -> None:
        """Makes the network and what the pods share. Raises ContainerError."""
        self._subnet = next(each for each in SUBNETS if not _routed(each))
        self._engine.podman("network", "create", "--disable-dns", f"--subnet={self._subnet}.0/24", NETWORK)
        for document in pod_manifests.shared(self._documents):
            if document["kind"] != "ConfigMap":  # podman reads those with each pod
                self._engine.podman(
                    "kube", "play", self._file(f"{document['kind']}-{document['metadata']['name']}", [document])
                )

    @property
    def all(self) -> list[str]:
        """The names of all pods, in the order of the manifests."""
        return list(self._pods)

    def names(self, workload: str) -> list[str]:
        """Returns the names of a workload's pods."""
        return [pod.name for pod in self._pods.values() if pod.workload == workload]

    def address(self, pod: str) -> str:
        """Returns the IP address of a pod, which it keeps."""
        return f"{self._subnet}.{FIRST + list(self._pods).index(pod)}"

    def start(self, *names: str) -> None:
        """Starts pods, one after the other, without waiting for them. Raises ContainerError."""
        aliases = pod_manifests.hosts(self._documents, {name: self.address(name) for name in self._pods})
        configuration = [each for each in self._documents if each["kind"] == "ConfigMap"]
        for name in names:
            folder = self._fill(self._pods[name])
            pod = pod_manifests.playable(self._pods[name], self._images, aliases, self.address(name), folder)
            file = self._file(name, [*configuration, pod])
            self._engine.podman("kube", "play", f"--network={NETWORK}", f"--ip={self.address(name)}", file)
            if not _routed(self._subnet):
                raise ContainerError(f"the pods' addresses {self._subnet}.* do not lead to this machine's pods")

    def stop(self, name: str) -> None:
        """Stops a pod as Kubernetes does, with its time to drain, and removes it. Raises ContainerError."""
        pod = self._pods[name]
        containers = [f"{name}-{each['name']}" for each in pod.spec["containers"]]
        self._engine.podman("stop", f"--time={pod.grace_s}", *containers)  # the pod's network stays until they are done
        self._engine.podman("pod", "rm", "--force", "--time=0", name)

    def kill(self, name: str) -> None:
        """Kills a pod without a warning, and removes it. Raises ContainerError."""
        self._engine.podman("pod", "kill", "--signal=KILL", name)
        self._engine.podman("pod", "rm", "--force", "--time=0", name)

    def wait(self, *names: str, within_s: float = READY_S) -> None:
        """Waits until pods are ready by their readiness probes; a Job's, until it has ended. Raises ContainerError."""
        deadline = time.monotonic() + within_s
        for name in names:
            while missing := self.missing(name):
                if time.monotonic() > deadline or self._has_ended_badly(name):
                    raise ContainerError(f"the pod {name} is not ready: {missing}\n{self.log(name)}")
                time.sleep(LOOK_S)

    def missing(self, name: str) -> str:
        """Returns why a pod is not ready; "" if it is."""
        pod = self._pods[name]
        if pod.ends:
            state = self.states(name)
            return "" if all(each["Running"] is False and each["ExitCode"] == 0 for each in state) else "it runs"
        if command := pod.readiness.get("exec", {}).get("command"):
            try:
                self.run(name, *command)
            except ContainerError as error:
                return str(error)
            return ""
        return _probe(pod, self.address(name))

    def states(self, name: str) -> list[Mapping[str, Any]]:
        """Returns the states of a pod's containers, without podman's own. Raises ContainerError."""
        listed = json.loads(self._engine.podman("pod", "inspect", name))
        listed = listed[0] if isinstance(listed, list) else listed
        own = [each["Id"] for each in listed["Containers"] if each["Id"] != listed["InfraContainerID"]]
        return [each["State"] for each in json.loads(self._engine.podman("inspect", *own))]

    def run(self, name: str, *command: str) -> str:
        """Runs a command in the first container of a pod, and returns what it printed. Raises ContainerError."""
        container = self._pods[name].spec["containers"][0]["name"]
        return self._engine.podman("exec", f"{name}-{container}", *command)

    def log(self, name: str) -> str:
        """Returns the last lines of a pod's containers."""
        command = self._engine.podman_command("pod", "logs", f"--tail={LOG_LINES}", name)
        done = subprocess.run(command, env=self._engine.environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def memory_bytes(self) -> dict[str, int]:
        """Returns the memory that the processes of each running pod use, without shared pages being counted twice."""
        return {
            name: sum(_proportional_bytes(pid) for pid in self._pids(name)) for name in self._pods if self._pids(name)
        }

    def _pids(self, name: str) -> list[int]:
        try:
            roots = [int(each["Pid"]) for each in self.states(name) if each["Running"]]
        except ContainerError:
            return []
        found, new = set(roots), list(roots)
        while new:
            pid = new.pop()
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                children = {int(each) for each in task.read_text().split()} - found
                found |= children
                new += children
        return sorted(found)

    def _has_ended_badly(self, name: str) -> bool:
        """Whether a Job's pod has failed."""
        return self._pods[name].ends and any(not each["Running"] and each["ExitCode"] for each in self.states(name))

    def _fill(self, pod: PodManifest) -> Path:
        """Makes a pod's projected volumes and those in memory, for its group. Returns their folder."""
        folder = self._engine.folder / "projected" / pod.name
        group = int(pod.spec.get("securityContext", {}).get("fsGroup", 0))
        for volume, files in pod_manifests.projected_files(pod, self._documents).items():
            for path, content in files.items():
                file = folder / volume / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                file.chmod(0o440)
                for each in (file, file.parent, folder / volume):
                    os.chown(each, 0, group)
                for each in {file.parent, folder / volume}:
                    each.chmod(0o750)
        for volume in pod_manifests.memory_volumes(pod):
            (folder / volume).mkdir(parents=True, exist_ok=True)
            os.chown(folder / volume, 0, group)
            (folder / volume).chmod(0o770)
        return folder

    def _file(self, name: str, documents: Iterable[Document]) -> str:
        folder = self._engine.folder / "manifests"
        folder.mkdir(exist_ok=True)
        file = folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump_all(documents, sort_keys=False))
        return str(file)


def _probe(pod: PodManifest, address: str) -> str:
    """Asks what the readiness probe asks. Returns why the pod is not ready; "" if it is."""
    match pod.readiness:
        case {"httpGet": {"port": port, "path": path}}:
            return _http_lacks(address, int(port), path)
        case {"tcpSocket": {"port": port}}:
            return _listening_lacks(address, int(port))
        case _:
            return ""


def _http_lacks(address: str, port: int, path: str) -> str:
    connection = http.client.HTTPConnection(address, port, timeout=2)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except OSError as error:
        return str(error)
    finally:
        connection.close()
    return "" if 200 <= status < 400 else f"it answers with {status}"


def _listening_lacks(address: str, port: int) -> str:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError as error:
        return str(error)
    return ""


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _routed(beginning: str) -> bool:
    """Whether this machine already has a network with this beginning."""
    routes = subprocess.run(["ip", "-4", "route"], capture_output=True, text=True, check=False).stdout
    return f"{beginning}." in routes
