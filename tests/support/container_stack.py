"""The installation that the tests of containers use: its pods, a client of its APIs, and a key."""

import base64
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import overlays
from tools.containers import image_build
from tools.containers.container_engine import ContainerEngine
from tools.containers.installation import Installation
from tools.containers.pod_manifests import Document

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = "dev"
CATALOG = ROOT / "deploy/config/models.toml"
SMALL = ROOT / "tests/golden/models.toml"
PLANS = "[plans.test]\n"
APIS, WORKERS = "i2v-api", "i2v-worker"
PORT = 50051
SETTINGS = {"I2V_FAKE_SLOTS": "4", "I2V_FAKE_PAUSE_S": "0.2", "I2V_DISK_FREE_BYTES": "0"}
"""Besides those of the overlay: a backend that makes small videos quickly, also on a disk that is nearly full."""

Report = Callable[[str, str, str], None]
"""Prints a row of a table: what was measured, the number, and what is wanted."""


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
            "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}:{ROOT / 'clients/python/src'}",
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
    installation = Installation(engine, documents, image_build.names())
    secrets = {key: value for each in documents for key, value in _plain(each).items()}
    installation.open()
    stack = ContainerStack(engine, installation, secrets)
    installation.start(*installation.all)
    installation.wait(*installation.all)
    stack.admin("tenants", "create", "shop", "--plan", "test", "--reason", "a test")
    stack.key = stack.admin("keys", "create", "test", "--tenant", "shop", "--reason", "a test").split()[-1]
    yield stack


def manifests() -> list[Document]:
    """Returns the overlay for development, with a model that needs no Triton and a plan without limits."""
    small = re.sub(r'backend = "test"', 'backend = "fake"', SMALL.read_text())
    more = {
        "i2v-catalog": {"models.toml": CATALOG.read_text() + small, "plans.toml": PLANS},
        "i2v-orchestrator": SETTINGS,
    }
    return [_with_data(each, more) for each in overlays.resources(OVERLAY)]


def _with_data(document: Document, more: Mapping[str, Mapping[str, str]]) -> Document:
    """Returns a document; a ConfigMap with the entries that are for its name."""
    name = document["metadata"]["name"]
    if document["kind"] != "ConfigMap" or name not in more:
        return document
    return {**document, "data": {**document.get("data", {}), **more[name]}}


def _plain(document: Mapping[str, Any]) -> dict[str, str]:
    if document["kind"] != "Secret":
        return {}
    return {key: base64.b64decode(value).decode() for key, value in document.get("data", {}).items()}
