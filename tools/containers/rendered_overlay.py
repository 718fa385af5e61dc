"""An overlay of deploy/k8s as documents, rendered by kubectl."""

import copy
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.containers.container_engine import ContainerError
from tools.containers.pod_manifests import Document

OVERLAYS = Path(__file__).resolve().parents[2] / "deploy/k8s/overlays"
TIMEOUT_S = 60


def render(overlay: str) -> list[Document]:
    """Returns the documents of an overlay. Raises ContainerError."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(OVERLAYS / overlay)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise ContainerError(f"kubectl cannot render the overlay {overlay}:\n{done.stderr}")
    return list(yaml.safe_load_all(done.stdout))


def with_data(documents: Iterable[Document], name: str, data: Mapping[str, str]) -> list[Document]:
    """Returns the documents with more entries, or other ones, in the ConfigMap of a name."""
    changed: list[dict[str, Any]] = [copy.deepcopy(dict(each)) for each in documents]
    found = [each for each in changed if each["kind"] == "ConfigMap" and each["metadata"]["name"] == name]
    for each in found:
        each["data"] = {**each.get("data", {}), **data}
    if not found:
        raise ContainerError(f"there is no ConfigMap {name}")
    return list(changed)
