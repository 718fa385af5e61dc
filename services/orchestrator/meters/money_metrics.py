"""The metrics of paid calls, limits and the ledger: a part of the Meter port."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.orchestrator.domain.counter_difference import LastAudit
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits.limit import Subject
from services.orchestrator.domain.limits.warning import CounterWarning
from services.orchestrator.meters.label_names import LabelNames


class MoneyMetrics:
    """Counts what concerns money."""

    def __init__(self, registry: CollectorRegistry, names: LabelNames) -> None:
        self._money_names = names
        self._calls = Counter(
            "i2v_paid_calls_total",
            "Steps of paid calls: `submitting`, `accepted`, `released`, `charged`, `refunded` by an operator later, "
            "`lost` for a missing answer, and `taken` for an answer that named another job's task.",
            ["provider", "step"],
            registry=registry,
        )
        self._warned = Counter(
            "i2v_output_warnings_total",
            "Videos of vendors that differ from the spec or from the vendor's promise, or have no pixel mark "
            "(`OUTPUT_UNMARKED`) or manifest; `reason` as in the event `Warned`.",
            ["model", "reason"],
            registry=registry,
        )
        self._reconciling = Gauge(
            "i2v_jobs_reconciling",
            "Jobs with a paid call whose outcome is unknown. Every worker reports the same number.",
            registry=registry,
        )
        self._imbalance = Gauge(
            "i2v_ledger_imbalance_accounts",
            "Counters that differ from the sum of their holds, and jobs whose holds differ from their ledger entries. "
            "Every minute one process audits what has changed; all report the same number: take the maximum.",
            registry=registry,
        )
        self._audit_time = Gauge(
            "i2v_ledger_audit_timestamp_seconds",
            "When any process last made this audit, in seconds since 1970.",
            registry=registry,
        )
        self._limits = Counter(
            "i2v_limit_warnings_total",
            "Limits whose use has reached 80, 90 or 100 %, each once a period; limits at a time at most once an hour. "
            "`measure` is the kind, such as `jobs`; `subject` is `tenant`, `user` or `key`. One process counts each.",
            ["measure", "subject", "percent"],
            registry=registry,
        )

    def paid_call(self, provider: str, step: str) -> None:
        """Counts a step of a paid call."""
        self._calls.labels(self._money_names.provider(provider), step).inc()

    def warned(self, job: Job, reason: str) -> None:
        """Counts a difference between a vendor's video and the request."""
        self._warned.labels(self._money_names.model(job.spec.model), self._money_names.word(reason)).inc()

    def reconciling(self, jobs: int) -> None:
        """Sets the number of jobs with an unknown paid call."""
        self._reconciling.set(jobs)

    def audited(self, last: LastAudit) -> None:
        """Sets what the last audit found, and when it was."""
        self._imbalance.set(last.differences)
        if last.time is not None:
            self._audit_time.set(last.time.timestamp())

    def limit_reached(self, warning: CounterWarning) -> None:
        """Counts a warning of a limit."""
        subject = warning.subject.partition(":")[0] or Subject.TENANT.value
        kind = warning.measure.partition(":")[0]
        self._limits.labels(self._money_names.word(kind), subject, str(warning.threshold)).inc()
