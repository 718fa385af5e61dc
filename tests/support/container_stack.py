"""The installation that the tests of containers use: its pods, a client of its APIs, and a key."""

import base64
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tools.containers import image_build
from tools.containers.container_engine import ContainerEngine
from tools.containers.installation import Installation
from tools.containers.pod_manifests import Document

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "tests/containers/manifests.yaml"
CATALOG = ROOT / "deploy/config/models.toml"
SMALL = ROOT / "tests/golden/models.toml"
PLANS = "[plans.test]\n"
SERVERS, APIS, WORKERS = ("postgres", "s3", "triton", "prompt-writer"), "api", "worker"
PORT = 50051


class ContainerStack:
    """A running installation."""

    def __init__(self, engine: ContainerEngine, installation: Installation, secrets: Mapping[str, str]) -> None:
        self.engine = engine
        self.installation = installation
        self._secrets = secrets
        self.key = ""

    @property
    def addresses(self) -> list[str]:
        """`host:port` of each API."""
        return [f"{self.installation.address(pod)}:{PORT}" for pod in self.installation.names(APIS)]

    def admin(self, *arguments: str) -> str:
        """Runs `i2v admin` as the first operator and returns what it printed."""
        return self.i2v("admin", *arguments, key=self._secrets["operator-key"])

    def i2v(self, *arguments: str, key: str = "") -> str:
        """Runs `i2v` and returns what it printed."""
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
            "I2V_SERVER": ",".join(self.addresses),
            "I2V_KEY": key or self.key,
        }
        command = [sys.executable, "-m", "services.client.cli", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextmanager
def running_stack(engine: ContainerEngine) -> Iterator[ContainerStack]:
    """Starts all pods and makes a tenant; ends them afterwards."""
    documents = manifests()
    images = {f"i2v/{image}": image_build.name_of(image) for image in (*image_build.IMAGES, *image_build.TEST_SERVERS)}
    installation = Installation(engine, documents, images)
    secrets = {key: value for each in documents for key, value in _plain(each).items()}
    installation.open()
    stack = ContainerStack(engine, installation, secrets)
    for workloads in (SERVERS, (APIS, WORKERS, "studio")):
        pods = [pod for workload in workloads for pod in installation.names(workload)]
        installation.start(*pods)
        installation.wait(*pods)
    stack.admin("tenants", "create", "shop", "--plan", "test", "--reason", "a test")
    stack.key = stack.admin("keys", "create", "test", "--tenant", "shop", "--reason", "a test").split()[-1]
    yield stack


def manifests() -> list[Document]:
    """Returns the documents, with a catalog of the local model and of a model that needs none."""
    documents: list[Document] = yaml.safe_load(MANIFESTS.read_text())["items"]
    small = re.sub(r'backend = "test"', 'backend = "fake"', SMALL.read_text())
    catalog = {"models.toml": CATALOG.read_text() + small, "plans.toml": PLANS}
    documents.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "i2v-catalog"}, "data": catalog})
    return documents


def _plain(document: Mapping[str, Any]) -> dict[str, str]:
    if document["kind"] != "Secret":
        return {}
    encoded = {key: base64.b64decode(value).decode() for key, value in document.get("data", {}).items()}
    return encoded | dict(document.get("stringData", {}))
