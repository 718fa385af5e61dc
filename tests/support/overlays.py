"""The overlays of deploy/k8s, rendered by kubectl as a platform team renders them."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy/k8s"
OVERLAYS = sorted(folder.name for folder in (K8S / "overlays").iterdir())
KUBECTL = Path(sys.executable).parent / "kubectl"
WORKLOADS = ("Deployment", "StatefulSet", "Job")


@cache
def rendered(overlay: str) -> str:
    """What `kubectl kustomize` writes."""
    folder = str(K8S / "overlays" / overlay)
    return subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=True, timeout=60).stdout


def with_component(overlay: str, component: str, folder: Path) -> list[dict[str, Any]]:
    """All resources of an overlay of one's own: another one, and a component more."""
    own = {"resources": [K8S / "overlays" / overlay], "components": [K8S / "components" / component]}
    text = yaml.safe_dump({key: [os.path.relpath(each, folder) for each in paths] for key, paths in own.items()})
    (folder / "kustomization.yaml").write_text(text)
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=True, timeout=60)
    return _read(done.stdout)


@cache
def resources(overlay: str) -> list[dict[str, Any]]:
    """All resources."""
    return _read(rendered(overlay))


def _read(text: str) -> list[dict[str, Any]]:
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))  # a tenth of the time of yaml.safe_load_all


def of_kind(overlay: str, *kinds: str) -> list[dict[str, Any]]:
    """The resources of these kinds."""
    return [each for each in resources(overlay) if each["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> dict[str, Any]:
    """One resource."""
    return next(each for each in of_kind(overlay, kind) if each["metadata"]["name"] == name)


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    """The spec of a workload's pods."""
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def labels(workload: dict[str, Any]) -> dict[str, str]:
    """The labels of a workload's pods."""
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def containers(workload: dict[str, Any]) -> list[dict[str, Any]]:
    """The containers that prepare a pod, and its own."""
    return [*pod(workload).get("initContainers", []), *pod(workload)["containers"]]


def environment(overlay: str, container: dict[str, Any]) -> dict[str, str]:
    """The variables that a container gets."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= named(overlay, "ConfigMap", source["configMapRef"]["name"])["data"]
    for each in container.get("env", []):
        found[each["name"]] = each.get("value", "a-name")
    return found
