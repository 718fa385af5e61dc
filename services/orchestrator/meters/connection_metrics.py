"""The metrics of the connections to backends and to the prompt writer."""

from prometheus_client import CollectorRegistry

from services.orchestrator.meters.engine_metrics import EngineMetrics
from services.orchestrator.meters.triton_metrics import TritonMetrics
from services.rpc.client_metrics import ClientMetrics


class ConnectionMetrics:
    """Counts the calls, and what the engines do. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.calls, self.engines = ClientMetrics(registry), EngineMetrics(registry)
        self.tritons = TritonMetrics(registry)
