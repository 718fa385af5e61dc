"""The metrics of how videos come about: a part of the Meter port."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.orchestrator.domain.job import Job
from services.orchestrator.meters import duration
from services.orchestrator.meters.label_names import LabelNames

FACTORS = (0.1, 0.25, 0.5, 1, 1.5, 2, 4)
STOP_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class VideoMetrics:
    """Measures attempts as their viewers see them."""

    def __init__(self, registry: CollectorRegistry, names: LabelNames) -> None:
        self._video_names = names
        self._speed = Histogram(
            "i2v_video_realtime_factor",
            "Seconds of a video for each second of the attempt that made all of it: 1 keeps up with a viewer.",
            ["model"],
            buckets=FACTORS,
            registry=registry,
        )
        self._fragments = Counter(
            "i2v_fragments_total",
            "Stored fragments after the first one of their attempt, by whether they were there before a viewer who "
            "begins with the first fragment and plays 16 frames a second needed them: `early` or `late`.",
            ["model", "timing"],
            registry=registry,
        )
        self._stop = Histogram(
            "i2v_job_stop_seconds",
            "From the moment at which the worker of a running job learns of a request to cancel it to the job's end.",
            buckets=STOP_SECONDS,
            registry=registry,
        )

    def made(self, job: Job, seconds: float) -> None:
        """Records how fast one attempt made a whole video."""
        if job.output is not None and seconds > 0:
            factor = job.output.duration_ms / 1000 / seconds
            duration.observe(self._speed.labels(self._video_names.model(job.spec.model)), factor)

    def fragment(self, job: Job, *, early: bool) -> None:
        """Counts a fragment that a viewer waits for."""
        self._fragments.labels(self._video_names.model(job.spec.model), "early" if early else "late").inc()

    def stopped(self, seconds: float) -> None:
        """Records how long a stop took."""
        duration.observe(self._stop, seconds)
