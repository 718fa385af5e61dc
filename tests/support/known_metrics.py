"""The metrics that the code has, with their types and labels."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from services.certificates.metrics import CertificateMetrics
from services.orchestrator.fleet_metrics import FleetMetrics
from services.orchestrator.library_metrics import LibraryMetrics
from services.orchestrator.metrics import PrometheusMeter
from services.providers.metrics import VendorMetrics
from services.rpc.telemetry import ServerMetrics
from services.studio.metrics import StudioMetrics

ROOT = Path(__file__).resolve().parents[2]


def metrics_of_processes() -> dict[str, tuple[str, str]]:
    """Returns type and labels of each metric of our processes by its name."""
    registry = CollectorRegistry()
    kinds = (
        CertificateMetrics,
        PrometheusMeter,
        LibraryMetrics,
        FleetMetrics,
        ServerMetrics,
        VendorMetrics,
        StudioMetrics,
    )
    meters = [kind(registry) for kind in kinds]
    found = [each for meter in meters for each in vars(meter).values() if isinstance(each, MetricWrapperBase)]
    assert len(found) == len(list(registry.collect()))
    return {
        each._name + ("_total" if each._type == "counter" else ""): (each._type, ", ".join(each._labelnames))
        for each in found
    }


def metrics_of_models() -> dict[str, tuple[str, str]]:
    """Returns type and labels of each metric of our Triton models by its name."""
    found = {}
    for file in sorted(ROOT.glob("model_repository/*/1/model.py")):
        labels = ", ".join(re.findall(r'labels=\{"(\w+)"', file.read_text()))
        for name in re.findall(r'family\(\s*"(i2v_\w+)"', file.read_text()):
            found[name] = ("counter" if name.endswith("_total") else "gauge", labels)
    assert found
    return found
