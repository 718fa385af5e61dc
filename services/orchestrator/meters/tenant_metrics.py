"""The metrics of single tenants, where a setting allows them."""

from prometheus_client import CollectorRegistry, Counter, Summary

from services.metrics.label_values import LabelValues
from services.orchestrator.domain.job import Job
from services.orchestrator.meters import duration

ONLY = "Only with `I2V_METRICS_TENANTS`; tenants beyond that number are `other`."


class TenantMetrics:
    """Counts the jobs of each of the first tenants that come. One per registry."""

    def __init__(self, registry: CollectorRegistry, most: int) -> None:
        """`most` is how many tenants have a value of their own. 0: nothing is counted."""
        self._on, self._tenant = most > 0, LabelValues(most).of
        self._admitted = Counter(
            "i2v_tenant_jobs_admitted_total", f"Jobs admitted, by tenant. {ONLY}", ["tenant"], registry=registry
        )
        self._quoted = Counter(
            "i2v_tenant_quoted_micros_total", f"Quotes of the same jobs. {ONLY}", ["tenant"], registry=registry
        )
        self._ended = Counter(
            "i2v_tenant_jobs_ended_total", f"Jobs that ended, by tenant. {ONLY}", ["tenant", "state"], registry=registry
        )
        self._charged = Counter(
            "i2v_tenant_charged_micros_total", f"Charges of the same jobs. {ONLY}", ["tenant"], registry=registry
        )
        self._waited = Summary(
            "i2v_tenant_job_wait_seconds", f"From admission to the first attempt. {ONLY}", ["tenant"], registry=registry
        )
        self._first = Summary(
            "i2v_tenant_first_fragment_seconds",
            f"From admission to the first stored fragment of the first attempt. {ONLY}",
            ["tenant"],
            registry=registry,
        )

    def admitted(self, job: Job) -> None:
        """Counts an admitted job and its quote."""
        if self._on:
            tenant = self._tenant(job.tenant)
            self._admitted.labels(tenant).inc()
            self._quoted.labels(tenant).inc(job.quote_micros)

    def started(self, job: Job, waited_s: float) -> None:
        """Records the wait before the first attempt."""
        if self._on:
            duration.add(self._waited.labels(self._tenant(job.tenant)), waited_s)

    def first_fragment(self, job: Job, after_s: float) -> None:
        """Records the time to the first fragment."""
        if self._on:
            duration.add(self._first.labels(self._tenant(job.tenant)), after_s)

    def ended(self, job: Job) -> None:
        """Counts an ended job and its charge."""
        if self._on:
            tenant = self._tenant(job.tenant)
            self._ended.labels(tenant, job.state.value).inc()
            self._charged.labels(tenant).inc(job.charged_micros or 0)
