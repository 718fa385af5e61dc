"""An exemplar names the current trace, if that is recorded."""

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.exposition import generate_latest

from services.metrics.exemplar import exemplar

SAMPLED, NOT_SAMPLED = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)
TRACE, SPAN = 0xABC, 0xDEF


@pytest.mark.parametrize(
    ("context", "labels"),
    [
        (SpanContext(TRACE, SPAN, is_remote=False, trace_flags=SAMPLED), {"trace_id": f"{TRACE:032x}"}),
        (SpanContext(TRACE, SPAN, is_remote=False, trace_flags=NOT_SAMPLED), None),
        (SpanContext(0, SPAN, is_remote=False, trace_flags=SAMPLED), None),
        (SpanContext(TRACE, 0, is_remote=False, trace_flags=SAMPLED), None),
    ],
    ids=["sampled", "not sampled", "no trace", "no span"],
)
def test_only_a_valid_sampled_trace_is_an_exemplar(context: SpanContext, labels: dict[str, str] | None) -> None:
    with trace.use_span(NonRecordingSpan(context)):
        assert exemplar() == labels


def test_without_a_trace_there_is_none() -> None:
    assert exemplar() is None


def test_an_exemplar_is_in_the_format_of_openmetrics() -> None:
    registry = CollectorRegistry()
    counter = Counter("i2v_test_total", "A test.", registry=registry)
    with trace.use_span(NonRecordingSpan(SpanContext(TRACE, SPAN, is_remote=False, trace_flags=SAMPLED))):
        counter.inc(1, exemplar())
    assert f'i2v_test_total 1.0 # {{trace_id="{TRACE:032x}"}} 1.0' in generate_latest(registry).decode()
