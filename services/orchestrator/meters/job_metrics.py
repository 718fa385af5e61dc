"""The metrics of jobs: a part of the Meter port."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.metrics.exemplar import exemplar
from services.orchestrator.domain.job import Job, State
from services.orchestrator.meters import duration
from services.orchestrator.meters.label_names import LabelNames

WAIT_SECONDS = (0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
JOB_SECONDS = (1, 2.5, 5, 10, 30, 60, 120, 300, 1800)
"""Few: each is a line of every scrape for each model."""


class JobMetrics:
    """Counts and measures jobs."""

    def __init__(self, registry: CollectorRegistry, names: LabelNames) -> None:
        self._job_names = names
        self._admissions: dict[str, tuple[Counter, Counter]] = {}
        """What each submission counts, by model: looking labels up takes longer than counting."""
        self._admitted = Counter(
            "i2v_jobs_admitted_total",
            "Jobs admitted, without repeats of a `request_id`.",
            ["model"],
            registry=registry,
        )
        self._quoted = Counter(
            "i2v_quoted_micros_total",
            "Quotes of the same jobs. For exact amounts, use the ledger.",
            ["model"],
            registry=registry,
        )
        self._quotes = Counter(
            "i2v_quotes_total",
            "Quote tokens: `issued` by a preview, `valid` when they came with a job, or refused: `malformed`, "
            "`foreign`, `expired`, `stale`.",
            ["step"],
            registry=registry,
        )
        self._batched = Counter(
            "i2v_batch_jobs_total",
            "Jobs of batches, by `all-or-nothing` and `each`: `admitted`, now or before, or `refused`.",
            ["mode", "result"],
            registry=registry,
        )
        self._ended = Counter(
            "i2v_jobs_ended_total",
            "Jobs that ended. `reason` is empty except for failed ones.",
            ["model", "state", "reason"],
            registry=registry,
        )
        self._charged = Counter(
            "i2v_charged_micros_total",
            "Charges of the same jobs.",
            ["model"],
            registry=registry,
        )
        self._waited = Histogram(
            "i2v_job_wait_seconds",
            "From admission to the first attempt.",
            ["model"],
            buckets=WAIT_SECONDS,
            registry=registry,
        )
        self._first = Histogram(
            "i2v_job_first_fragment_seconds",
            "From admission to the first stored fragment of the first attempt.",
            ["model"],
            buckets=WAIT_SECONDS,
            registry=registry,
        )
        self._took = Histogram(
            "i2v_job_seconds",
            "From admission to the end, of jobs that succeeded.",
            ["model", "state"],
            buckets=JOB_SECONDS,
            registry=registry,
        )
        self._continued = Counter(
            "i2v_jobs_continued_total",
            "Attempts that continued from the checkpoints of an earlier one.",
            ["model"],
            registry=registry,
        )
        self._unstored = Counter(
            "i2v_checkpoint_failures_total",
            "Checkpoints that could not be stored immediately; each is retried together with the next.",
            ["model"],
            registry=registry,
        )

    def admitted(self, job: Job) -> None:
        """Counts an admitted job and its quote."""
        model = self._job_names.model(job.spec.model)
        counters = self._admissions.get(model)
        if counters is None:
            counters = self._admissions[model] = self._admitted.labels(model), self._quoted.labels(model)
            self._continued.labels(model)  # it begins at 0, so that the first increase is seen
        admitted, quoted = counters
        admitted.inc(1, exemplar())
        quoted.inc(job.quote_micros)

    def quote(self, step: str) -> None:
        """Counts a quote token by what happened to it."""
        self._quotes.labels(step).inc()

    def batch(self, mode: str, admitted: int, refused: int) -> None:
        """Counts the jobs of a batch."""
        self._batched.labels(mode, "admitted").inc(admitted)
        self._batched.labels(mode, "refused").inc(refused)

    def started(self, job: Job, waited_s: float) -> None:
        """Records the wait before the first attempt."""
        duration.observe(self._waited.labels(self._job_names.model(job.spec.model)), waited_s)

    def first_fragment(self, job: Job, after_s: float) -> None:
        """Records the time to the first fragment."""
        duration.observe(self._first.labels(self._job_names.model(job.spec.model)), after_s)

    def continued(self, job: Job) -> None:
        """Counts an attempt that continues from checkpoints."""
        self._continued.labels(self._job_names.model(job.spec.model)).inc()

    def checkpoint_failed(self, job: Job) -> None:
        """Counts a checkpoint that could not be stored."""
        self._unstored.labels(self._job_names.model(job.spec.model)).inc()

    def ended(self, job: Job) -> None:
        """Counts an ended job, its charge and its duration."""
        model, state = self._job_names.model(job.spec.model), job.state.value
        reason = self._job_names.reason(job.error.reason) if job.error else ""
        self._ended.labels(model, state, reason).inc(1, exemplar())
        self._charged.labels(model).inc(job.charged_micros or 0)
        if job.end_time is not None and job.state is State.SUCCEEDED:
            took_s = (job.end_time - job.create_time).total_seconds()
            duration.observe(self._took.labels(model, state), took_s)
