"""The metrics that the code has: names, types, labels and help texts, by the classes that make them."""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from services.certificates.metrics import CertificateMetrics
from services.orchestrator.fleet_metrics import FleetMetrics
from services.orchestrator.library_metrics import LibraryMetrics
from services.orchestrator.meters.database_metrics import DatabaseMetrics
from services.orchestrator.meters.engine_metrics import EngineMetrics
from services.orchestrator.meters.inventory_metrics import InventoryMetrics
from services.orchestrator.meters.sandbox_metrics import SandboxMetrics
from services.orchestrator.meters.triton_metrics import TritonMetrics
from services.orchestrator.meters.webhook_backlog_metrics import WebhookBacklogMetrics
from services.orchestrator.meters.webhook_metrics import WebhookMetrics
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.rollup_metrics import RollupMetrics
from services.providers.metrics import VendorMetrics
from services.providers.prompt.metrics import LlmMetrics
from services.rpc.client_metrics import ClientMetrics
from services.rpc.telemetry import ServerMetrics
from services.studio.live.live_metrics import LiveMetrics
from services.studio.metrics import StudioMetrics
from services.studio.socket.socket_metrics import SocketMetrics

ROOT = Path(__file__).resolve().parents[1]
SUFFIXES = ("_bucket", "_sum", "_count")
"""What Prometheus adds to the name of a histogram, or a summary."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    name: str
    """As Prometheus has it: that of a counter ends in `_total`."""
    kind: str
    labels: tuple[str, ...]
    meaning: str


class _Recorder(CollectorRegistry):
    """A registry that keeps what is registered in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[MetricWrapperBase] = []

    def register(self, collector: Collector) -> None:
        super().register(collector)
        assert isinstance(collector, MetricWrapperBase)
        self.found.append(collector)


def _of(*makers: Callable[[CollectorRegistry], object]) -> Sequence[Metric]:
    registry = _Recorder()
    for make in makers:
        make(registry)
    return tuple(
        Metric(
            each._name + ("_total" if each._type == "counter" else ""),
            str(each._type),
            tuple(each._labelnames),
            each._documentation,
        )
        for each in registry.found
    )


def of_processes() -> Mapping[str, Sequence[Metric]]:
    """Returns the metrics of our processes, by the sections of the documentation."""
    return {
        "Orchestrator": _of(PrometheusMeter, FleetMetrics, LibraryMetrics),
        "The running day": _of(RollupMetrics),
        "Engine, as workers see it": _of(EngineMetrics, TritonMetrics),
        "Database and inventory": _of(DatabaseMetrics, InventoryMetrics),
        "Webhooks": _of(WebhookMetrics, WebhookBacklogMetrics),
        "Processes for files": _of(SandboxMetrics),
        "gRPC server": _of(ServerMetrics),
        "gRPC client": _of(ClientMetrics),
        "Providers": _of(VendorMetrics),
        "Prompt writer": _of(LlmMetrics),
        "HTTP process": _of(StudioMetrics, LiveMetrics, SocketMetrics),
        "Certificates": _of(CertificateMetrics),
    }


def of_models() -> Sequence[Metric]:
    """Returns the metrics of our Triton models, from their source: they cannot be imported outside of Triton."""
    found = {metric.name: metric for file in sorted(ROOT.glob("model_repository/*/1/model.py")) for metric in _in(file)}
    assert found
    return tuple(found.values())


def _in(file: Path) -> Iterator[Metric]:
    tree = ast.parse(file.read_text())
    labels = tuple(
        str(key.value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for given in call.keywords
        if given.arg == "labels" and isinstance(given.value, ast.Dict)
        for key in given.value.keys
        if isinstance(key, ast.Constant)
    )
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "family":
            name, meaning = (str(each.value) for each in call.args[:2] if isinstance(each, ast.Constant))
            yield Metric(name, "counter" if name.endswith("_total") else "gauge", labels, meaning)


def all_metrics() -> Sequence[Metric]:
    """Returns the metrics of our processes and of our Triton models."""
    return (*(metric for section in of_processes().values() for metric in section), *of_models())
