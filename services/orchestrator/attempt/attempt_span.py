"""The spans of an attempt: the wait in the queue before the first one, and the attempt itself."""

from datetime import datetime

from services.orchestrator.domain.job import Job
from services.tracing import spans
from services.tracing.spans import Kind, Span, Value
from services.tracing.trace_context import TraceContext


def attempt_span(job: Job, backend: str, now: datetime) -> Span:
    """Begins the span of an attempt: a child of the job's admission, and linked to it.

    Before the first attempt, the time since the admission becomes a span too.
    """
    admission = TraceContext.of_text(job.trace_context)
    queue: dict[str, Value] = {"messaging.system": "i2v", "messaging.destination.name": backend, "i2v.job": job.id}
    if admission is not None and job.attempt == 1:
        waited_s = max(0.0, (now - job.create_time).total_seconds())
        attributes = {**queue, "messaging.operation.type": "receive"}
        spans.entry("wait in queue", Kind.CONSUMER, attributes, parent=admission, ago_s=waited_s).end()
    attributes = {
        **queue,
        "messaging.operation.type": "process",
        "i2v.attempt": job.attempt,
        "i2v.model": job.spec.model,
        "i2v.operation": job.spec.operation.kind,
    }
    return spans.entry("attempt", Kind.CONSUMER, attributes, parent=admission, link=admission)
