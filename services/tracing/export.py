"""OpenTelemetry's library, started: spans go to a collector by OTLP over gRPC.

Nothing else imports the library: a process without an endpoint does not load it.
"""

import logging
import time

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from services.tracing import spans
from services.tracing.opentelemetry_tracer import OpenTelemetryTracer
from services.tracing.sampling import decision, sampler
from services.tracing.settings import TracingSettings
from services.tracing.span_queue import EVERY_S, MOST, REPORT_S, SpanQueue

DIRECT = ("grpc.enable_http_proxy", 0)
"""As every channel of ours: without a proxy."""
STOP_S = 1.0
"""Seconds that the end of a process waits for its last spans."""
LIBRARY = "opentelemetry"


class _Seldom(logging.Filter):
    """Lets a library's errors pass once in a while, and nothing less."""

    def __init__(self) -> None:
        super().__init__()
        self.is_over = False
        self._last: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether a record is written."""
        now = time.monotonic()
        seldom = self._last is None or now - self._last >= REPORT_S
        if self.is_over or record.levelno < logging.ERROR or not seldom:
            return False
        self._last = now
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


class Export:
    """The running export of one process. `stop` ends it."""

    def __init__(self, settings: TracingSettings, service: str, *, most: int = MOST, every_s: float = EVERY_S) -> None:
        """`service` is the name of the process if the settings have none. Makes its tracer the process's."""
        self._logger = logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter")
        self._filter = _Seldom()
        self._logger.addFilter(self._filter)
        self._exporter = OTLPSpanExporter(endpoint=settings.endpoint, channel_options=(DIRECT,))  # type: ignore[arg-type]
        self._queue = SpanQueue(
            lambda batch: self._exporter.export(batch) is SpanExportResult.SUCCESS, most=most, every_s=every_s
        )
        attributes = {"service.name": service, **settings.attributes()}
        if settings.service_name:
            attributes["service.name"] = settings.service_name
        provider = TracerProvider(
            sampler=sampler(settings),
            resource=Resource.create(attributes),
            span_limits=SpanLimits(max_span_attributes=32, max_events=64, max_links=8, max_attribute_length=256),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._queue)
        spans.install(OpenTelemetryTracer(provider.get_tracer("i2v"), decision(settings)))

    @property
    def waiting(self) -> int:
        """Spans that are not sent yet."""
        return self._queue.waiting

    def stop(self, within_s: float = STOP_S) -> None:
        """Sends the last spans, for a second or so, and switches tracing off."""
        spans.install(None)
        self._queue.stop(within_s, self._abort)
        self._logger.removeFilter(self._filter)

    def _abort(self) -> None:
        self._filter.is_over = True
        self._exporter.shutdown()
