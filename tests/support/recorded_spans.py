"""Tracing inside a test: spans are kept in a list when they end."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from services.tracing import spans
from services.tracing.opentelemetry_tracer import OpenTelemetryTracer
from services.tracing.sampling import decision, sampler
from services.tracing.settings import DEFAULT, Sampler, TracingSettings


class _Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


@contextmanager
def recording(sampled: Sampler = DEFAULT, share: float = 1.0) -> Iterator[list[ReadableSpan]]:
    """Makes this process trace, as by these settings, and yields the spans that have ended."""
    settings = TracingSettings(traces_sampler=sampled, traces_sampler_arg=share)
    kept, provider = _Kept(), TracerProvider(sampler=sampler(settings), shutdown_on_exit=False)
    provider.add_span_processor(kept)
    spans.install(OpenTelemetryTracer(provider.get_tracer("test"), decision(settings)))
    try:
        yield kept.spans
    finally:
        spans.install(None)


def named(kept: list[ReadableSpan], name: str) -> ReadableSpan:
    """Returns the only span of a name."""
    (found,) = (span for span in kept if span.name == name)
    return found
