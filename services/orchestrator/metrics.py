"""Our own Prometheus metrics; services.rpc.telemetry has the standard ones of gRPC. docs/metrics.md lists them."""

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.orchestrator.domain.counter_difference import LastAudit
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits.limit import Subject
from services.orchestrator.domain.limits.warning import CounterWarning
from services.orchestrator.domain.retention import Due, Kind
from services.orchestrator.share_metrics import ShareMetrics

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)


class PrometheusMeter(ShareMetrics):
    """The Meter port, kept in a Prometheus registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._admitted = Counter("i2v_jobs_admitted_total", "Jobs admitted.", ["model"], registry=registry)
        self._quoted = Counter(
            "i2v_quoted_micros_total", "Money set aside at admission, micros.", ["model"], registry=registry
        )
        self._quotes = Counter(
            "i2v_quotes_total", "Quote tokens that were issued, valid or refused.", ["step"], registry=registry
        )
        self._batched = Counter(
            "i2v_batch_jobs_total", "Jobs of batches, by what became of them.", ["mode", "result"], registry=registry
        )
        self._ended = Counter("i2v_jobs_ended_total", "Jobs ended.", ["model", "state", "reason"], registry=registry)
        self._charged = Counter("i2v_charged_micros_total", "Money charged, micros.", ["model"], registry=registry)
        self._waited = Histogram(
            "i2v_job_wait_seconds",
            "From admission to the first attempt.",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self._first = Histogram(
            "i2v_job_first_fragment_seconds",
            "From admission to the first stored fragment.",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self._took = Histogram(
            "i2v_job_seconds",
            "From admission to the end.",
            ["model", "state"],
            buckets=SECONDS,
            registry=registry,
        )
        self._continued = Counter(
            "i2v_jobs_continued_total", "Attempts that went on from checkpoints.", ["model"], registry=registry
        )
        self._unstored = Counter(
            "i2v_checkpoint_failures_total",
            "Checkpoints that could not be stored at once.",
            ["model"],
            registry=registry,
        )
        self._expected = Gauge(
            "i2v_expected_wait_seconds",
            "Expected wait of a job of a tenant that has none waiting, by backend.",
            ["backend"],
            registry=registry,
        )
        self._refused = Counter(
            "i2v_queue_refusals_total", "Jobs refused at the queues.", ["backend", "reason"], registry=registry
        )
        self._ready = Gauge("i2v_backend_ready", "1 while a backend could take a job.", ["backend"], registry=registry)
        self._drained = Gauge(
            "i2v_backend_drained", "1 while operators have drained a backend.", ["backend"], registry=registry
        )
        self._calls = Counter(
            "i2v_paid_calls_total", "Steps of paid calls, by provider.", ["provider", "step"], registry=registry
        )
        self._warned = Counter(
            "i2v_output_warnings_total", "Mismatches of vendors' videos.", ["model", "reason"], registry=registry
        )
        self._reconciling = Gauge(
            "i2v_jobs_reconciling", "Jobs with a paid call whose outcome is unknown.", registry=registry
        )
        self._imbalance = Gauge(
            "i2v_ledger_imbalance_accounts",
            "Counters and jobs that differ from their holds or the ledger; anything but 0 is an alarm.",
            registry=registry,
        )
        self._audit_time = Gauge(
            "i2v_ledger_audit_timestamp_seconds",
            "When any process last audited the counters, in seconds since 1970.",
            registry=registry,
        )
        self._acts = Counter(
            "i2v_admin_acts_total", "What operators and tenants' admins did.", ["action", "outcome"], registry=registry
        )
        self._issuer = Counter(
            "i2v_issuer_reads_total", "Reads of the keys of the tokens' issuer.", ["result"], registry=registry
        )
        self._limits = Counter(
            "i2v_limit_warnings_total",
            "Limits whose use has reached a threshold.",
            ["measure", "subject", "percent"],
            registry=registry,
        )
        self._free = Gauge(
            "i2v_disk_free_bytes", "Free bytes on the disks of this process.", ["place"], registry=registry
        )
        self._removed = Counter(
            "i2v_retention_removed_total", "Old things that were removed.", ["kind"], registry=registry
        )
        self._leftovers = Counter(
            "i2v_leftovers_removed_total", "Folders of ended processes that were removed.", registry=registry
        )
        self._copies = Counter("i2v_blob_copies_total", "Keys that copies looked at.", ["outcome"], registry=registry)
        self._retained = Gauge(
            "i2v_retention_round_timestamp_seconds", "End of the last successful round.", ["kind"], registry=registry
        )
        self._deletions = Gauge("i2v_user_deletions_open", "Deletions of users that are not done.", registry=registry)
        self._due = Gauge("i2v_retention_due", "Things that a round has left though due.", ["kind"], registry=registry)
        self._background = Counter(
            "i2v_background_failures_total",
            "Background tasks that failed and were started again.",
            ["task"],
            registry=registry,
        )
        self._oldest = Gauge(
            "i2v_retention_oldest_timestamp_seconds", "The oldest of these; 0: none.", ["kind"], registry=registry
        )

        self._config = Gauge(
            "i2v_config_version",
            "1 for the version of the files that holds: the model cards, the plans.",
            ["config", "version"],
            registry=registry,
        )
        self._config_usable = Gauge(
            "i2v_config_usable", "0 while the newest version of the files is refused.", ["config"], registry=registry
        )
        self._config_refused = Counter(
            "i2v_config_reload_failures_total",
            "New versions of files that were refused.",
            ["config"],
            registry=registry,
        )
        self._config_versions: dict[str, str] = {}

    def config_loaded(self, config: str, version: str) -> None:
        """Sets the version of files that holds."""
        if config in self._config_versions:
            self._config.remove(config, self._config_versions[config])
        self._config_versions[config] = version
        self._config.labels(config, version).set(1)
        self._config_usable.labels(config).set(1)
        self._config_refused.labels(config).inc(0)

    def config_refused(self, config: str) -> None:
        """Counts a new version that cannot be used."""
        self._config_usable.labels(config).set(0)
        self._config_refused.labels(config).inc()

    def admitted(self, job: Job) -> None:
        """Counts an admitted job and its quote."""
        self._admitted.labels(job.spec.model).inc()
        self._quoted.labels(job.spec.model).inc(job.quote_micros)

    def quote(self, step: str) -> None:
        """Counts a quote token by what happened to it."""
        self._quotes.labels(step).inc()

    def batch(self, mode: str, admitted: int, refused: int) -> None:
        """Counts the jobs of a batch."""
        self._batched.labels(mode, "admitted").inc(admitted)
        self._batched.labels(mode, "refused").inc(refused)

    def started(self, job: Job, waited_s: float) -> None:
        """Records the wait before the first attempt."""
        self._waited.labels(job.spec.model).observe(waited_s)

    def first_fragment(self, job: Job, after_s: float) -> None:
        """Records the time to the first fragment."""
        self._first.labels(job.spec.model).observe(after_s)

    def continued(self, job: Job) -> None:
        """Counts an attempt that continues from checkpoints."""
        self._continued.labels(job.spec.model).inc()

    def checkpoint_failed(self, job: Job) -> None:
        """Counts a checkpoint that could not be stored."""
        self._unstored.labels(job.spec.model).inc()

    def ended(self, job: Job) -> None:
        """Counts an ended job, its charge and its duration."""
        model, state = job.spec.model, job.state.value
        self._ended.labels(model, state, job.error.reason if job.error else "").inc()
        self._charged.labels(model).inc(job.charged_micros or 0)
        if job.end_time is not None:
            self._took.labels(model, state).observe((job.end_time - job.create_time).total_seconds())

    def paid_call(self, provider: str, step: str) -> None:
        """Counts a step of a paid call."""
        self._calls.labels(provider, step).inc()

    def warned(self, job: Job, reason: str) -> None:
        """Counts a difference between a vendor's video and the request."""
        self._warned.labels(job.spec.model, reason).inc()

    def reconciling(self, jobs: int) -> None:
        """Sets the number of jobs with an unknown paid call."""
        self._reconciling.set(jobs)

    def expected_wait(self, backend: str, seconds: float) -> None:
        """Sets the expected wait of a job of a tenant that has none waiting."""
        self._expected.labels(backend).set(seconds)

    def queue_refused(self, backend: str, reason: str) -> None:
        """Counts a job that was refused because of the queue."""
        self._refused.labels(backend, reason).inc()

    def backend_ready(self, backend: str, ready: bool) -> None:
        """Sets whether a backend could take a job."""
        self._ready.labels(backend).set(ready)

    def audited(self, last: LastAudit) -> None:
        """Sets what the last audit found, and when it was."""
        self._imbalance.set(last.differences)
        if last.time is not None:
            self._audit_time.set(last.time.timestamp())

    def backend_drained(self, backend: str, drained: bool) -> None:
        """Sets whether operators have drained a backend."""
        self._drained.labels(backend).set(drained)

    def acted(self, action: str, outcome: str) -> None:
        """Counts an act of an operator or of a tenant's admin."""
        self._acts.labels(action, outcome).inc()

    def issuer_read(self, result: str) -> None:
        """Counts a read of the keys of the tokens' issuer: `read` or `failed`."""
        self._issuer.labels(result).inc()

    def limit_reached(self, warning: CounterWarning) -> None:
        """Counts a warning of a limit."""
        subject = warning.subject.partition(":")[0] or Subject.TENANT.value
        kind = warning.measure.partition(":")[0]
        self._limits.labels(kind, subject, str(warning.threshold)).inc()

    def background_failed(self, task: str) -> None:
        """Counts a failure of a background task."""
        self._background.labels(task).inc()

    def disk_free(self, place: str, size_bytes: int) -> None:
        """Sets the free bytes of a disk."""
        self._free.labels(place).set(size_bytes)

    def leftovers_removed(self, folders: int) -> None:
        """Counts folders of ended processes that were removed."""
        self._leftovers.inc(folders)

    def blob_copied(self, outcome: str) -> None:
        """Counts a key that a copy between stores has looked at."""
        self._copies.labels(outcome).inc()

    def removed(self, kind: Kind, count: int) -> None:
        """Counts removed things."""
        self._removed.labels(kind).inc(count)

    def retention_round(self, kind: Kind, time: datetime, due: Due) -> None:
        """Sets when a round of a kind succeeded, and what it has left."""
        self._retained.labels(kind).set(time.timestamp())
        self._due.labels(kind).set(due.count)
        self._oldest.labels(kind).set(due.oldest.timestamp() if due.oldest is not None else 0)

    def user_deletions(self, count: int) -> None:
        """Sets how many are not done."""
        self._deletions.set(count)
