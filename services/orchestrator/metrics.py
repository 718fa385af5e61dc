"""The Meter port as metrics of Prometheus; services.rpc has the standard ones of gRPC. docs/metrics.md lists them."""

from prometheus_client import CollectorRegistry

from services.orchestrator.domain.job import Job
from services.orchestrator.meters.config_metrics import ConfigMetrics
from services.orchestrator.meters.job_metrics import JobMetrics
from services.orchestrator.meters.label_names import LabelNames
from services.orchestrator.meters.money_metrics import MoneyMetrics
from services.orchestrator.meters.operation_metrics import OperationMetrics
from services.orchestrator.meters.output_metrics import OutputMetrics
from services.orchestrator.meters.queue_metrics import QueueMetrics
from services.orchestrator.meters.retention_metrics import RetentionMetrics
from services.orchestrator.meters.share_metrics import ShareMetrics
from services.orchestrator.meters.tenant_metrics import TenantMetrics
from services.orchestrator.meters.video_metrics import VideoMetrics


class PrometheusMeter(
    JobMetrics,
    VideoMetrics,
    OutputMetrics,
    QueueMetrics,
    MoneyMetrics,
    OperationMetrics,
    RetentionMetrics,
    ConfigMetrics,
    ShareMetrics,
):
    """The Meter port, kept in a Prometheus registry. One per registry."""

    def __init__(self, registry: CollectorRegistry, tenants: int = 0) -> None:
        """`tenants` is how many of them have metrics of their own."""
        names = LabelNames()
        for part in (JobMetrics, VideoMetrics, OutputMetrics, QueueMetrics, MoneyMetrics, OperationMetrics):
            part.__init__(self, registry, names)
        for other in (RetentionMetrics, ConfigMetrics, ShareMetrics):
            other.__init__(self, registry)
        self._tenants = TenantMetrics(registry, tenants)

    def admitted(self, job: Job) -> None:
        """Counts an admitted job and its quote."""
        super().admitted(job)
        self._tenants.admitted(job)

    def started(self, job: Job, waited_s: float) -> None:
        """Records the wait before the first attempt."""
        super().started(job, waited_s)
        self._tenants.started(job, waited_s)

    def first_fragment(self, job: Job, after_s: float) -> None:
        """Records the time to the first fragment."""
        super().first_fragment(job, after_s)
        self._tenants.first_fragment(job, after_s)

    def ended(self, job: Job) -> None:
        """Counts an ended job, its charge, its duration and its video."""
        super().ended(job)
        self.output(job)
        self._tenants.ended(job)
