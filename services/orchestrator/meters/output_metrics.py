"""The metrics of what jobs made, compared with what was quoted for them: a part of the Meter port."""

from prometheus_client import CollectorRegistry, Counter

from services.orchestrator.domain.job import Job
from services.orchestrator.meters.label_names import LabelNames


class OutputMetrics:
    """Counts quotes, prices and bytes of ended jobs."""

    def __init__(self, registry: CollectorRegistry, names: LabelNames) -> None:
        self._output_names = names
        self._settled = Counter(
            "i2v_settled_quote_micros_total",
            "Quotes of the jobs that ended, to compare with `i2v_charged_micros_total`, which counts the same jobs.",
            ["model"],
            registry=registry,
        )
        self._probed = Counter(
            "i2v_probed_micros_total",
            "What the videos would cost by their length as it was measured in the file, at the price of their quotes.",
            ["model"],
            registry=registry,
        )
        self._video_s = Counter(
            "i2v_video_seconds_total", "Seconds of the videos, as measured in the files.", ["model"], registry=registry
        )
        self._video_bytes = Counter("i2v_video_bytes_total", "Bytes of the videos.", ["model"], registry=registry)

    def output(self, job: Job) -> None:
        """Counts the quote and the video of an ended job."""
        model = self._output_names.model(job.spec.model)
        self._settled.labels(model).inc(job.quote_micros)
        if job.output is None:
            return
        self._video_s.labels(model).inc(job.output.duration_ms / 1000)
        self._video_bytes.labels(model).inc(job.output.size_bytes)
        if job.spec.duration_ms:
            self._probed.labels(model).inc(job.price_micros * job.output.duration_ms / job.spec.duration_ms)
